"""The dHCP fetal fMRI release with the method's published annotations, brought into the method's folder layout.

The release (Karolis et al., *The developing Human Connectome Project fetal functional MRI release*, Imaging
Neuroscience, 2025) holds a 4-D BOLD series for each subject and session, in BIDS naming:
``sub-CC00000XX00/ses-10000/func/sub-CC00000XX00_ses-10000_…_bold.nii.gz``. The annotations are single frames of
those series: ``labels/FRAME.nii.gz`` and ``annotations.csv``, where FRAME contains the subject's and the session's
identifiers and ends with the number of the frame, counted from 0, such as ``sub-CC00000XX00_ses-10000_0042``.
"""

from __future__ import annotations

import re
from pathlib import Path

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.volume import read_volume, write_volume

from .annotations import read_rotations, write_rotations
from .folders import volumes_by_id

_FRAME = re.compile(r"(?:sub-)?(?P<subject>CC\d+[A-Z]{2}\d+).*?(?:ses-)?(?P<session>\d{4,6}).*?(?P<frame>\d+)$")


def find_series(release: Path, subject: str, session: str) -> Path:
    """The one BOLD series of a session.

    Raises
    ------
    DatasetError
        There is none, or more than one.
    """
    folder = release / f"sub-{subject}" / f"ses-{session}"
    found = sorted(folder.glob("**/*_bold.nii*"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DatasetError(f"{folder} should hold one *_bold.nii.gz; found: {names}.")
    return found[0]


def prepare_dhcp(release: Path, annotations: Path, output: Path) -> list[str]:
    """Writes ``images/``, ``labels/`` and ``annotations.csv`` for every annotated frame.

    Parameters
    ----------
    release : Path
        Folder of the ``sub-…`` folders.
    annotations : Path
        Folder with ``labels/`` and ``annotations.csv``.
    output : Path
        New folder.

    Returns
    -------
    list[str]
        The frames written.

    Raises
    ------
    DatasetError
        A name that tells no subject, session and frame, a label without annotation, a series that is missing, or a
        label on another grid than its frame.
    """
    labels = volumes_by_id(annotations / "labels")
    rotations = read_rotations(annotations / "annotations.csv")
    for frame, path in labels.items():
        match = _FRAME.search(frame)
        if match is None:
            raise DatasetError(f"{path}: the name does not tell subject, session and frame number.")
        if frame not in rotations:
            raise DatasetError(f"{path} has no row in {annotations / 'annotations.csv'}.")
        series = find_series(release, match["subject"], match["session"])
        image, label = read_volume(series, frame=int(match["frame"])), read_volume(path)
        if image.shape != label.shape:
            raise DatasetError(f"{path} has shape {label.shape}, but its frame of {series} has {image.shape}.")
        write_volume(output / "images" / f"{frame}.nii.gz", image)
        write_volume(output / "labels" / f"{frame}.nii.gz", label)
    write_rotations(output / "annotations.csv", {frame: rotations[frame] for frame in labels})
    return sorted(labels)
