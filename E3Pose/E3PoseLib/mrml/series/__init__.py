"""A head over time: the time points of a sequence, their poses and masks as sequences that play with it, its motion.

May import the other modules of `mrml`. Start with `time_points.py`.
"""
