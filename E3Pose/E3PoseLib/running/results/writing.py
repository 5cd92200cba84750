"""Writing what became of a scan: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ...errors import OutputError
from ...imaging.files import whole_file
from ...imaging.geometry import write_itk, write_npy
from ...imaging.volume import ALIGNED_CODE, Volume, write_volume
from ..scans.tasks import Task
from .files import ENDINGS, UNFINISHED_ENDING, Writers, result_file, result_files, wanted_kinds
from .placing import place_together, unfinished
from .record import FORMAT, content_stated, encoded, mark, read_record
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
    source: dict,
    further: Writers = MappingProxyType({}),
) -> dict[str, Path]:
    """Write everything about one scan.

    All is written before any of it takes its place; where that fails, the results before stand. What these had beyond
    the new ones, a mask for instance, goes with them.

    Parameters
    ----------
    folder : Path
    task : Task
    volume : Volume
        The scan.
    estimate : PoseEstimate
    settings : Settings
    source : dict
        What the scan's files were, `Source.record`.
    further : mapping of str to callable
        What writes further files, by their endings.

    Returns
    -------
    dict of str to Path
        The files by kind; a further one has its ending for a kind.

    Raises
    ------
    OutputError
        If a file cannot be written or replaced.
    """
    kinds = wanted_kinds(settings, further)
    files = result_files(folder, task, kinds)
    before = result_files(folder, task, read_record(folder, task).kinds)
    with unfinished(folder, files, {kind: _part_name(kind, path) for kind, path in files.items()}) as parts:
        place = parts["json"].parent
        for ending, write in further.items():
            write(parts[ending], volume, estimate)
        _write(parts, volume, estimate, settings)
        made = {kind: content_stated(part) for kind, part in parts.items() if kind != "json"}
        _write_text(parts["json"], encoded(_document(task, volume, estimate, settings, source, made)))
        marked = place / "mark.json"
        _write_text(marked, encoded(mark(task, {*kinds, *before})))
        files["json"].parent.mkdir(parents=True, exist_ok=True)
        place_together(
            {parts[kind]: files[kind] for kind in kinds},
            [path for kind, path in before.items() if kind not in files and kind != UNFINISHED_ENDING],
            (marked, result_file(folder, task, UNFINISHED_ENDING)),
            place,
        )
    return files


def _part_name(kind: str, path: Path) -> str:
    """How a file is called until it is whole: short, as Windows has limits; but a further file has its own name, which
    some writers put into it.
    """
    return f"{kind}{''.join(Path(kind + ENDINGS[kind]).suffixes)}" if kind in ENDINGS else path.name


def _write(parts: Mapping[str, Path], volume: Volume, estimate: PoseEstimate, settings: Settings) -> None:
    from ...imaging.resampling import reslice

    write_npy(parts["npy"], settings.matrix(volume, estimate))
    inward = settings.direction == DIRECTIONS[1]
    write_itk(parts["tfm"], estimate.ras_to_canonical if inward else estimate.canonical_to_ras)
    if "mask" in parts:
        if estimate.mask is None:
            raise OutputError(f"{parts['mask']}: the method {settings.method} gives no mask; do without --save-mask")
        write_volume(parts["mask"], Volume(estimate.mask, volume.voxel_to_ras, name=f"mask of {volume.name}"))
    if settings.reslice_spacing is not None:
        resliced = reslice(volume, estimate.canonical_to_ras, settings.reslice_spacing)
        write_volume(parts["resliced"], resliced, ALIGNED_CODE)


def _document(
    task: Task, volume: Volume, estimate: PoseEstimate, settings: Settings, source: dict, made: Mapping[str, dict]
) -> dict:
    """What the JSON document says."""
    from ...prescription.report import planes_in_numbers
    from ..summary import NOT_REVIEWED, eyes_in_numbers

    return {
        "format": FORMAT,
        "name": task.name,
        "input": str(task.real_path),
        "frame": task.frame,
        "bids": None if task.bids is None else {key: task.bids.entity(key) for key in ("sub", "ses", "run")},
        "source": source,
        "settings": asdict(settings),
        "files": made,
        "matrix": settings.matrix(volume, estimate),
        "canonical_to_ras": estimate.canonical_to_ras,
        "ras_to_canonical": estimate.ras_to_canonical,
        "canonical_to_voxel": np.linalg.inv(volume.voxel_to_ras) @ estimate.canonical_to_ras,
        "confidence": estimate.confidence.as_dict(),
        "review": NOT_REVIEWED,
        "eyes": eyes_in_numbers(estimate),
        "prescription": None
        if estimate.mask is None
        else planes_in_numbers(
            estimate.canonical_to_ras, estimate.mask, volume.voxel_to_ras, estimate.confidence.brain_is_cut
        ),
        "figures": dict(estimate.figures),
        "warnings": list(estimate.warnings),
        "timings_seconds": estimate.timings,
        "device": estimate.device,
        "precision": estimate.precision,
    }


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
