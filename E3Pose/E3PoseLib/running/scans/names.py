"""Names for the results of scans: short enough for any file system, and no two alike."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

LONGEST_NAME_BYTES = 220
"""File systems hold names of 255 bytes; the rest is for endings such as ``_frame0000_resliced.nii.gz``."""


def alike(name: str) -> str:
    """What two names have in common that some file system takes for one: they differ in case or Unicode form alone.

    >>> alike("Ä.nii") == alike("a\\u0308.NII")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def names_told_apart(paths: Sequence[Path], stems: Sequence[tuple[str, ...]]) -> list[str]:
    """A name for the results of each file, made of its own name and, as far as need be, of its folders' names.

    Parameters
    ----------
    paths : sequence of Path
        No two the same.
    stems : sequence of tuple of str
        How each file is called at least: folders from the one that was named, and its name without suffix.

    Returns
    -------
    list of str
        Joined by ``_``. Where the folders do not tell two files apart, as they lie in the same one or the joined names
        are the same, their names end in a hash of their paths.

    >>> names_told_apart([Path("/a/1/T2w.nii"), Path("/a/2/T2w.nii"), Path("/b/x.nii")], [("T2w",), ("T2w",), ("x",)])
    ['1_T2w', '2_T2w', 'x']
    """
    wholes = [
        (*path.absolute().parent.parts[1 : -(len(stem) - 1) or None], *stem)
        for path, stem in zip(paths, stems, strict=True)
    ]
    wholly_alike = Counter(alike("_".join(whole)) for whole in wholes)
    ends = [
        f"_{hashed(str(path))}" if wholly_alike[alike("_".join(whole))] > 1 else ""
        for whole, path in zip(wholes, paths, strict=True)
    ]
    depths = [len(stem) for stem in stems]
    while True:
        names = ["_".join(whole[-depth:]) + end for whole, depth, end in zip(wholes, depths, ends, strict=True)]
        count = Counter(map(alike, names))
        deeper = [n for n, name in enumerate(names) if count[alike(name)] > 1 and depths[n] < len(wholes[n])]
        if not deeper:
            return list(map(shortened, names))
        for n in deeper:
            depths[n] += 1


def shortened(name: str) -> str:
    """A name of at most `LONGEST_NAME_BYTES`; a longer one loses its end to a hash of the whole.

    >>> shortened("v" * 243) == "v" * 211 + "_" + hashed("v" * 243)
    True
    """
    if len(os.fsencode(name)) <= LONGEST_NAME_BYTES:
        return name
    end = f"_{hashed(name)}"
    while len(os.fsencode(name)) + len(end) > LONGEST_NAME_BYTES:
        name = name[:-1]
    return name + end


def hashed(text: str) -> str:
    """Eight characters that tell texts apart."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
