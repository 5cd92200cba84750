"""A head over time: each scan of a series starts from what was found in those before.

May import the modules of `method`. Start with `tracker.py`.
"""
