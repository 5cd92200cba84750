"""Fetal-Align after Hoffmann et al., 2021: brain and eyes by stable regions of the size that a head has at its age.

May import `E3PoseLib` and the synthesis' growth tables. Start with `align.py`; docs/methods.md says what is as in the
paper. OpenCV is needed for the regions.
"""
