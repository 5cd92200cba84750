"""What is on disk: folders of scans, tables of poses, data sets of other layouts, series of synthetic scans.

May import `E3PoseLib`, `synthesis` and `augmentation`. Start with `folders.py` (the layout), then `datasets.py` (how
training reads it).
"""
