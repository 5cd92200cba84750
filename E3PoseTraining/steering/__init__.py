"""What it gains to steer slices by the pose of the head: a stack acquired slice by slice while the head moves.

May import `synthesis`. Start with `acquisition.py` (geometry), then `experiment.py` (heads, navigators, the model).
"""
