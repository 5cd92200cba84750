"""``e3pose reorient``: one volume upright, with the head's frame for its world."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from ...errors import E3PoseError, NoHeadFoundError, VolumeError
from ..ending import SOME_FAILED, SUCCESS
from ..memory import made_to_stay

FORMAT = "e3pose-reorientation-1"


def add_reorient_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``e3pose reorient`` but those of model and device."""
    parser.add_argument("volume", help="a reconstruction, skull-stripped or not, or a stack")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--frame", type=int, metavar="N", help="which volume of a 4-D file, from 0")
    parser.add_argument("--resample", type=float, metavar="MM", help="resample to voxels of that edge in RAS axes")
    parser.add_argument("--overwrite", action="store_true", help="replace results that stand")


def run_reorient(options: argparse.Namespace, model: Mapping[str, Any]) -> int:
    """Estimate the pose and write the volume in the head's frame, its mask, and the transform.

    Parameters
    ----------
    options : argparse.Namespace
        See `add_reorient_arguments`, and ``device``.
    model : mapping
        The arguments of `load_model`.

    Returns
    -------
    int
        The exit status: 1 where the volume cannot be used or shows no head.

    Raises
    ------
    E3PoseError
        If the model, the device or the output cannot be used, or something would have to be replaced unasked.
    """
    with made_to_stay():
        from ...imaging.geometry import write_itk
        from ...imaging.resampling import RESLICED_EDGE_MM, reslice
        from ...imaging.volume import ALIGNED_CODE, Volume, write_volume
        from ...method.estimator import PoseEstimator
        from ...models.loading import load_model
        from ..results.bundle import Bundle
        from ..results.folder import check_folder, prepare_folder
        from ..scans.reading import read_scan
        from ..scans.tasks import find_tasks

    if options.resample is not None and not 0.1 <= options.resample <= RESLICED_EDGE_MM / 8:
        raise E3PoseError(f"--resample {options.resample:g}: give 0.1 to {RESLICED_EDGE_MM / 8:g} mm")
    task, *more = find_tasks([options.volume], options.frame)
    if more:
        raise E3PoseError(f"{options.volume}: holds {len(more) + 1} scans; name one")
    loaded = load_model(**model)
    estimator = PoseEstimator(loaded, options.device)
    folder = prepare_folder(options.output)
    check_folder(folder, [task])
    endings = {"volume": ".nii.gz", "mask": "_mask.nii.gz", "tfm": ".tfm", "json": ".json"}
    files = {kind: folder / f"{task.name}_upright{ending}" for kind, ending in endings.items()}
    bundle = Bundle(folder, f"{task.name}_upright", files, FORMAT)
    bundle.check_no_folders()
    origin = {
        "format": FORMAT,
        "name": task.name,
        "input": str(task.real_path),
        "frame": task.frame,
        "settings": {"model": loaded.identity, "resample": options.resample},
    }
    if not options.overwrite:
        bundle.stands(origin)
    try:
        volume, source = read_scan(task)
        estimate = estimator.estimate(volume)
        record = source.record()
    except (VolumeError, NoHeadFoundError) as error:
        print(f"{task.name}: failed: {error}", file=sys.stderr)
        return SOME_FAILED
    pose = estimate.canonical_to_ras
    mask = Volume(estimate.mask, volume.voxel_to_ras, name=f"mask of {volume.name}")
    if options.resample is None:
        upright, brain = volume.in_frame(pose), mask.in_frame(pose)
    else:
        upright = reslice(volume, pose, options.resample)
        shown = reslice(Volume(estimate.mask.astype("float32"), volume.voxel_to_ras), pose, options.resample)
        brain = Volume((shown.array > 0.5).astype("uint8"), shown.voxel_to_ras)
    document = {
        **origin,
        "source": record,
        "canonical_to_ras": pose,
        "confidence": estimate.confidence.as_dict(),
        "warnings": list(estimate.warnings),
    }
    with bundle.written(document) as parts:
        write_volume(parts["volume"], upright, ALIGNED_CODE)
        write_volume(parts["mask"], brain, ALIGNED_CODE)
        write_itk(parts["tfm"], pose)
    print(f"{task.name}: confidence {estimate.confidence.level}")
    for warning in estimate.warnings:
        print(f"  {warning}")
    for path in files.values():
        print(f"  {path}")
    return SUCCESS
