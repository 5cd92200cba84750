"""Rigid registration to a template of the age, from many starts.

May import `E3PoseLib` and `augmentation`. Start with `to_template.py`; `templates.py` makes and reads templates.
"""
