"""One scan from start to end, with a picture of it before and after."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import E3PoseError
from ..imaging.volume import read_volume
from ..method.estimator import PoseEstimator
from ..models.catalog import sample_scan
from ..models.loading import load_model
from .picture import check_can_draw, draw_estimate
from .results.folder import check_folder, prepare_folder
from .results.known_model import model_file_hash
from .results.settings import Settings
from .results.standing import state_of_results
from .results.writing import write_results
from .scans.source import Source
from .scans.stand_ins import refuse_stand_in
from .scans.tasks import find_tasks


def run_demo(
    scan: str | os.PathLike | None, folder: str | os.PathLike, model: Mapping[str, Any], device: str, overwrite: bool
) -> None:
    """Estimate the pose in one scan, write everything about it, draw it, and print what is where.

    Parameters
    ----------
    scan : path-like, optional
        The synthetic scan that comes with E3Pose if not given.
    folder : path-like
        Of the results.
    model : mapping
        The arguments of `load_model`.
    device : str
        As for `PoseEstimator`.
    overwrite : bool
        Replace results that stand, and files of another origin.

    Raises
    ------
    E3PoseError
        If the scan, the model or the device cannot be used, or something would have to be replaced unasked.
    """
    check_can_draw()
    task, *more = find_tasks([scan or sample_scan()])
    if more:
        raise E3PoseError(f"{scan}: holds {len(more) + 1} scans; the demo shows one")
    refuse_stand_in(task.path)
    source = Source(task.path)
    volume = read_volume(task.path)
    folder = prepare_folder(folder)
    check_folder(folder, [task])
    loaded = load_model(**model)
    settings = Settings(loaded.identity, save_mask=True, reslice_spacing=1.0, model_file=model_file_hash(model))
    picture = {".png": draw_estimate}
    if not overwrite:
        state_of_results(task, folder, settings, picture)  # says what must not be replaced
    estimate = PoseEstimator(loaded, device).estimate(volume)
    written = write_results(folder, task, volume, estimate, settings, source.record(), picture)
    print(
        f"{task.name}: confidence {estimate.confidence.level}, {estimate.timings['total']:.1f} s on {estimate.device}"
    )
    for warning in estimate.warnings:
        print(f"  {warning}")
    for path, content in (
        (written["json"], "pose, confidence, warnings"),
        (written["tfm"], "the pose for 3D Slicer, ITK and ANTs"),
        (written["mask"], "the brain"),
        (written["resliced"], "the scan in the head's planes"),
        (written[".png"], "before and after"),
    ):
        print(f"  {path}: {content}")
