"""Labelled scans on disk: their annotations, folds and formats, and how public data sets are brought into them.

May import `E3PoseLib`. Start with `datasets.py`.
"""
