"""The method: from a scan to a head pose with a confidence.

May import `models` and what is below it. Start with `estimator.py`, which is the method on one page.
"""
