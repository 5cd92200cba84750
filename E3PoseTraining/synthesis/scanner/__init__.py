"""The scanner: voxels, contrast, motion between slices, and artifacts.

May import `shapes` and `tissues`. Start with `grid.py`.
"""
