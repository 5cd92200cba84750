"""How good a set of estimated poses is: errors, intervals, tables and figures.

May import `E3PoseLib`, `augmentation` and `data`; not `training`. Start with `command.py` (``e3pose evaluate``).
"""
