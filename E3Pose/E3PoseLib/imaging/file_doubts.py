"""What is doubtful about the file that another program has read a scan from.

Slicer's reader of NIfTI files fills with zeros what is missing at their end, and says nothing.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from ..errors import DamagedFileError, VolumeError
from .formats import NIFTI_SUFFIXES, nifti


def file_doubts(path: str | os.PathLike) -> tuple[str, ...]:
    """Why a pose in a scan is not certain by the file that the scan was read from.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tuple of str
        That it is damaged, and that it leaves open how the scan lies in the patient. Nothing of a file that is missing,
        no NIfTI, or not readable.
    """
    path = Path(path)
    if not _is_nifti(path):
        return ()
    try:
        doubts = nifti.orientation_doubts(path)
        check_whole(path)
    except DamagedFileError as error:
        return (f"what is missing of the scan shows as zeros: {error}",)
    except VolumeError:
        return ()
    return doubts


def check_whole(path: str | os.PathLike) -> None:
    """Read a NIfTI file through, once as long as it stays the same.

    What is missing, of another format, or not readable for another reason is left to its reader.

    Raises
    ------
    DamagedFileError
        If bytes are missing at its end, or are not those that were compressed.
    """
    path = Path(path)
    if _is_nifti(path):
        status = path.stat()
        damage = _damage(path, status.st_mtime_ns, status.st_size)
        if damage:
            raise DamagedFileError(damage)


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_SUFFIXES) and path.is_file()


@functools.lru_cache(maxsize=16)
def _damage(path: Path, modified_ns: int, size: int) -> str:
    """How a file is damaged; empty where it is not. Of a file as old and as large as before it is remembered."""
    try:
        nifti.check_whole(path)
    except DamagedFileError as error:
        return str(error)
    except VolumeError:
        return ""
    return ""
