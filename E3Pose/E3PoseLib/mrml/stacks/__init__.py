"""Aligned stacks in a scene: `results.py` has their nodes and folder, `comparison.py` the views that compare them."""
