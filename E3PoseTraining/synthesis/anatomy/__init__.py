"""A fetus and its mother as shapes and label fields, and how they are painted into a scan.

May import `scanner`, `shapes` and `tissues`. Start with `head.py`.
"""
