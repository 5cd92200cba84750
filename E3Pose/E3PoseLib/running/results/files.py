"""Which files a scan's results are: their kinds and names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...imaging.volume import Volume
from ..scans.folders import RESLICED_END
from ..scans.tasks import Task
from .settings import Settings

if TYPE_CHECKING:
    # With it comes torch; a process that only hands out scans need not wait for that.
    from ...method.estimate import PoseEstimate

ENDINGS = {
    "npy": ".npy",
    "tfm": ".tfm",
    "mask": "_mask.nii.gz",
    "resliced": f"{RESLICED_END}.nii.gz",
    "json": ".json",
}
"""How the files of each kind end, in the order in which they take their places: where the last stands, all do."""

FAILED_ENDING = ".failed"
"""How the record of a scan ends that has failed."""

UNFINISHED_ENDING = ".unfinished"
"""How the mark of a scan ends whose results are taking their places."""

POSE = "pose"
"""Description of results in a BIDS data set, by which they are found."""

Writers = Mapping[str, Callable[[Path, Volume, "PoseEstimate"], None]]
"""How further files of a scan's results are written, a picture for instance, by their endings."""


def result_file(folder: Path, task: Task, kind: str) -> Path:
    """The file of a kind; a further one has its ending for a kind.

    In a BIDS data set ``sub-01/anat/sub-01_T2w.nii.gz`` has the results ``sub-01/anat/sub-01_desc-pose_T2w.json`` and
    ``….npy``, ``….tfm``, ``sub-01_space-T2w_desc-brain_mask.nii.gz`` and ``sub-01_desc-upright_T2w.nii.gz``.
    """
    ending = ENDINGS.get(kind, kind)
    if task.bids is None:
        return folder / f"{task.name}{ending}"
    place = folder.joinpath(*task.bids.folder)
    if kind == "mask":
        return place / f"{task.bids.derivative('brain', 'mask')}.nii.gz"
    if kind == "resliced":
        return place / f"{task.bids.derivative('upright')}.nii.gz"
    return place / f"{task.bids.derivative(POSE)}{ending}"


def wanted_kinds(settings: Settings, further: Iterable[str]) -> list[str]:
    """The kinds that settings ask for, and further endings; the document comes last."""
    left_out = set()
    if not settings.save_mask:
        left_out.add("mask")
    if settings.reslice_spacing is None:
        left_out.add("resliced")
    return [*further, *(kind for kind in ENDINGS if kind not in left_out)]


def result_files(folder: Path, task: Task, kinds: Iterable[str]) -> dict[str, Path]:
    """The files of kinds."""
    return {kind: result_file(folder, task, kind) for kind in kinds}
