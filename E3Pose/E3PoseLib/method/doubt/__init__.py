"""Doubtful poses: other ways to read the scan (halves, other networks, brains, places and contrasts), and twins.

May import the modules of `method` but `estimator`. Start with `reading.py`: the one interface of them all.
"""
