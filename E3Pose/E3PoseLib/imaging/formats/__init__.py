"""Image file formats, each in its own module, behind three functions: `scans_in`, `count_frames` and `read`.

`registry.py` lists the formats and finds that of a file; a new one gets a module with ``read`` and ``count_frames``
and a line there. Every reader gives `Contents`. Nothing larger than the limits in `contents.py` is ever allocated.
"""

from .contents import Contents
from .registry import NIFTI, SUFFIXES, FoundScan, count_frames, files_of, name_without_suffix, read, scans_in
from .streams import mistaken_for_a_scan

NIFTI_SUFFIXES = NIFTI.suffixes

__all__ = [
    "NIFTI_SUFFIXES",
    "SUFFIXES",
    "Contents",
    "FoundScan",
    "count_frames",
    "files_of",
    "mistaken_for_a_scan",
    "name_without_suffix",
    "read",
    "scans_in",
]
