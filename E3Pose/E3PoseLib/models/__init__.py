"""Model files: their header and weights, where they are found, and the import of official checkpoints.

May import `networks` and the layers below it. Start with `model.py`; `catalog.py` reads headers without PyTorch.
"""
