"""``e3pose serve``: images come in by OpenIGTLink, poses go out.

Start with `command.py`. Needs pyigtl, of the optional packages ``live``.
"""
