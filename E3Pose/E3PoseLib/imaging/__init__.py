"""Scans, frames, grids and whole files: everything that can be said of a scan without a network.

May import `errors` and `compiler` alone. Start with `volume.py` (a scan and where its voxels lie) and `geometry.py`
(poses and their files).
"""
