"""What is drawn about a head on request: its axes and its box.

May import the other modules of `mrml`. Start with `axes.py`.
"""
