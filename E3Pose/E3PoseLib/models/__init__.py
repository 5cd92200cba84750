"""Model files: their header, their weights, where they lie, and the import of official checkpoints.

May import `networks` and what is below it. Start with `model.py`; `catalog.py` reads headers without PyTorch.
"""
