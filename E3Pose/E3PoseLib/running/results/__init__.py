"""The files in which results are kept: whole whenever the run is stopped, and never in another's place unasked.

May import `scans` and what is below it, and nothing that needs PyTorch when it is loaded. Start with `writing.py`.
"""
