"""``e3pose prescribe``: slices along the planes of the head in one scan, for the console of a scanner.

May import what `running` may. Start with `command.py`; the geometry is in `prescription`.
"""
