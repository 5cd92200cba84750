"""E(3)-Pose and the methods beside it, run on the same scans and put into one table.

May import `E3PoseLib`, `data`, `training`, `methods` and `evaluation`. Start with `command.py` (``e3pose compare``).
"""
