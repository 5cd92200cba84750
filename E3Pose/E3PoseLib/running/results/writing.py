"""Writing what became of a scan: all of it, or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ...errors import OutputError
from ...imaging.files import PART_PREFIX
from ...imaging.geometry import write_itk, write_json, write_npy
from ...imaging.volume import Volume, write_volume
from ..scans.tasks import Task
from .files import FORMAT, Writers, recorded_files, result_files
from .settings import DIRECTIONS, Settings

if TYPE_CHECKING:
    # With it comes torch, as with what `_write` needs; a process that only hands out scans need not wait for that.
    from ...method.estimate import PoseEstimate


def write_results(
    folder: Path,
    task: Task,
    volume: Volume,
    estimate: PoseEstimate,
    settings: Settings,
    further: Writers = MappingProxyType({}),
) -> dict[str, Path]:
    """Write everything about one scan; returns the files by kind.

    All is written before any of it takes its place, so where that fails, the results before stand. What these had
    beyond the new ones, a mask for instance, goes with them. Further files are named, as a kind, by their endings.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    files = result_files(folder, task, settings, further)
    with _unfinished(folder) as place:
        parts = result_files(place, task, settings, further)
        for ending, write in further.items():
            write(parts[ending], volume, estimate)
        _write(parts, task, volume, estimate, settings, list(further))
        for path in recorded_files(folder, task)[1].values():
            if path not in files.values():
                path.unlink(missing_ok=True)
        # Where the run is killed from here on, no JSON says that the files beside it are whole.
        files["json"].unlink(missing_ok=True)
        for kind, path in files.items():
            parts[kind].replace(path)
    return files


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A hidden folder for what is not whole yet; it goes with all that is left in it."""
    try:
        with tempfile.TemporaryDirectory(prefix=PART_PREFIX, dir=folder) as place:
            yield Path(place)
    except OSError as error:
        raise OutputError(f"{folder}: the results cannot be written there ({error.strerror or error})") from error


def _write(
    parts: dict[str, Path],
    task: Task,
    volume: Volume,
    estimate: PoseEstimate,
    settings: Settings,
    further: list[str],
) -> None:
    from ...imaging.resampling import reslice
    from ...prescription.report import planes_in_numbers
    from ..summary import eyes_in_numbers

    matrix = settings.matrix(volume, estimate)
    write_npy(parts["npy"], matrix)
    inward = settings.direction == DIRECTIONS[1]
    write_itk(parts["tfm"], estimate.ras_to_canonical if inward else estimate.canonical_to_ras)
    if "mask" in parts:
        write_volume(parts["mask"], Volume(estimate.mask, volume.voxel_to_ras, name=f"mask of {volume.name}"))
    if settings.reslice_spacing is not None:
        write_volume(parts["resliced"], reslice(volume, estimate.canonical_to_ras, settings.reslice_spacing))
    write_json(
        parts["json"],
        {
            "format": FORMAT,
            "name": task.name,
            "input": str(task.real_path),
            "frame": task.frame,
            "settings": asdict(settings),
            "further": further,
            "matrix": matrix,
            "canonical_to_ras": estimate.canonical_to_ras,
            "ras_to_canonical": estimate.ras_to_canonical,
            "canonical_to_voxel": np.linalg.inv(volume.voxel_to_ras) @ estimate.canonical_to_ras,
            "confidence": estimate.confidence.as_dict(),
            "eyes": eyes_in_numbers(estimate),
            "prescription": planes_in_numbers(estimate.canonical_to_ras, estimate.mask, volume.voxel_to_ras),
            "warnings": list(estimate.warnings),
            "timings_seconds": estimate.timings,
            "device": estimate.device,
            "precision": estimate.precision,
        },
    )
