"""What is drawn about a head on request: its axes, its box, and slices that are planned in it.

May import the other modules of `mrml`. Start with `axes.py`.
"""
