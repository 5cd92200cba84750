"""Scans, coordinate frames, voxel grids and files: all work on a scan that needs no network.

May import `errors` and `compiler` only. Start with `volume.py` (a scan and its position in the world) and
`geometry.py` (poses and the files that hold them).
"""
