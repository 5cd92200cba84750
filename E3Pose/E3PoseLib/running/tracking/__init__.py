"""``e3pose track``: the motion of a head in series of scans, as tables, poses and pictures.

Start with `command.py`. The method, from scan to scan, is `method.tracking`.
"""
