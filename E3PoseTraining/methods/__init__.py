"""Other methods of estimating the head's pose that ours is compared with, run by their own conventions.

May import `E3PoseLib` and `data`. Start with `official.py`: the official E(3)-Pose program.
"""
