"""Random transforms of a scan with its ground truth, on tensors, on whatever device they are."""
