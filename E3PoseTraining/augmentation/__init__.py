"""Random transforms of a scan with its ground truth, on tensors, on whatever device they are.

May import `E3PoseLib` alone; reads no file. Start with `sample.py` (what is transformed), then `pipelines.py` (in which
order).
"""
