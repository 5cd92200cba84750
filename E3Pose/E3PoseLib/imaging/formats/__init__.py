"""Image file formats, each in its own module, behind a few functions: `scans_in`, `count_frames`, `read`,
`read_in_turn`.

`registry.py` lists the formats and finds that of a file; a new one gets a module with ``read`` and ``count_frames``
and a line there. Every reader gives `Contents`. Nothing larger than the limits in `contents.py` is ever allocated.
"""

from .contents import Contents
from .in_turn import read_in_turn, seconds_between_frames
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
    "read_in_turn",
    "scans_in",
    "seconds_between_frames",
]
