"""Which files a scan's results are, and what the JSON document among them records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import TransformError
from ...imaging.geometry import read_json
from ...imaging.volume import Volume
from ..scans.tasks import Task
from .settings import Settings

if TYPE_CHECKING:
    from ...method.estimate import PoseEstimate

FORMAT = "e3pose-pose-1"
SUFFIXES = {
    "npy": ".npy",
    "tfm": ".tfm",
    "mask": "_mask.nii.gz",
    "resliced": "_resliced.nii.gz",
    "json": ".json",
}
"""How the files of each kind end, in the order in which they take their places: where the last stands, all do."""

Writers = Mapping[str, Callable[[Path, Volume, "PoseEstimate"], None]]
"""How further files of a scan's results are written, a picture for instance, by their endings."""


def result_files(folder: Path, task: Task, settings: Settings, further: Iterable[str]) -> dict[str, Path]:
    """The files that the settings ask for, by kind; further ones have their ending for a kind."""
    return _files(folder, task, settings.save_mask, settings.reslice_spacing is not None, further)


def recorded_files(folder: Path, task: Task) -> tuple[dict | None, dict[str, Path]]:
    """The JSON of a result that stands, or None, and the files that belong to it by kind."""
    try:
        document = read_json(folder / f"{task.name}{SUFFIXES['json']}")
        settings = document["settings"]
        with_resliced = settings["reslice_spacing"] is not None
        files = _files(folder, task, settings["save_mask"], with_resliced, document.get("further", ()))
    except (TransformError, KeyError, TypeError):
        return None, {}
    return document, files


def _files(folder: Path, task: Task, with_mask: bool, with_resliced: bool, further: Iterable[str]) -> dict[str, Path]:
    left_out = {kind for kind, wanted in (("mask", with_mask), ("resliced", with_resliced)) if not wanted}
    suffixes = {ending: ending for ending in further}
    suffixes |= {kind: suffix for kind, suffix in SUFFIXES.items() if kind not in left_out}
    return {kind: folder / f"{task.name}{suffix}" for kind, suffix in suffixes.items()}
