"""Running the method: over many scans, in several processes, for Slicer; and what is written to disk.

May import `method` and what is below it. Start with `batch.py` (a folder of scans) or `session.py` (a warm model).
`scans` finds the scans, `results` keeps what becomes of them.
"""
