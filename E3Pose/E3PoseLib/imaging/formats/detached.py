"""Detached headers of MetaImage and NRRD: the files with the voxels that a text header names.

One file, a printf pattern with a range of numbers, or a list of files:
https://itk.org/Wiki/ITK/MetaIO/Documentation and https://teem.sourceforge.net/nrrd/format.html (section 5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_HEADER_BYTES = 1 << 20
_MOST_FILES = 4096
"""Of one scan: a header that is damaged may name any number of them."""

_VOXELS_IN = re.compile(
    rb"^[ \t]*(?:ElementDataFile[ \t]*=|data ?file[ \t]*:)([^\r\n]{1,4096})", re.IGNORECASE | re.MULTILINE
)
"""The field of MetaImage's and NRRD's headers that names the files with the voxels."""

_LIST = re.compile(rb"LIST(\s+\S+)?")
"""What the field says where the names follow, each in a line; the second word is the dimension of each file."""

_PATTERN = re.compile(rb"([^%]*%0?\d{0,2}(?:\.\d{1,2})?[diu][^%]*?)((?:\s+-?\d{1,9})*)")
"""A pattern for one number of at most 99 digits, and the range: first, last, step and the dimension of each file."""


def voxel_files(header: Path) -> list[Path]:
    """The files with the voxels that a text header names, of those that are there.

    Parameters
    ----------
    header : Path

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with header.open("rb") as stream:
        text = stream.read(_HEADER_BYTES)
    names: list[bytes] = []
    for field in _VOXELS_IN.finditer(text):
        value = field[1].strip()
        if _LIST.fullmatch(value):
            names += [line.strip() for line in text[field.end() :].splitlines()]
        elif pattern := _PATTERN.fullmatch(value):
            names += [pattern[1] % number for number in _numbers(*map(int, pattern[2].split()))]
        else:
            names.append(value)
    files = [header.parent / os.fsdecode(name) for name in names[: _MOST_FILES + 1]]
    return [file for file in files if os.path.isfile(file)]  # noqa: PTH113 (Path.is_file fails at too long a name)


def _numbers(first: int = 1, last: int | None = None, step: int = 1, *_: int) -> range:
    """The numbers of a range; where MetaImage does not state the last one, as many as there may be."""
    if last is None:
        last = first + _MOST_FILES
    step = step or 1
    return range(first, last + (1 if step > 0 else -1), step)[:_MOST_FILES]
