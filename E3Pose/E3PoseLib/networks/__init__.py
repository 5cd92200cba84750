"""Networks: tensors in, tensors out; which device and which precision they run in.

May import `imaging` and what is below it. Start with `equivariant/network.py` (the rotation network) and
`unet/unet.py` (the segmentation network).
"""
