"""How far a pose can be trusted: what is measured of it, what follows, and in which words.

May import `models` and below, and of `method` what measures a head. Start with `confidence.py`.
"""
