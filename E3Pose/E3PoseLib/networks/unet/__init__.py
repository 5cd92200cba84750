"""The U-Net that segments a scan, and how its convolutions are computed in less time.

May import `imaging` and what is below it. Start with `unet.py`; `planes.py` and `padding.py` give the same numbers
sooner.
"""
