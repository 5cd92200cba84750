"""Brain masks: written as segments, moved along with their scans, shown and hidden.

May import the other modules of `mrml`. Start with `segment.py`.
"""
