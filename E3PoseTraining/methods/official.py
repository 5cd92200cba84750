"""The official program's way to estimate a folder of scans: its weights, its voxel order, its ``.npy`` output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from E3PoseLib.imaging.geometry import direction_cosines, invert_rigid, rigid, transform_points, write_npy
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.models.loading import import_official
from E3PoseLib.running.ending import SOME_FAILED, SUCCESS
from E3PoseLib.running.memory import keep_freed_memory, made_to_stay
from E3PoseLib.running.report import run_each
from E3PoseLib.running.results.folder import check_folder, prepare_folder
from E3PoseLib.running.scans.tasks import Task, find_tasks
from E3PoseLib.running.screen.progress import LeftOut, progress

from .e3_pose import E3Pose


class OfficialProgram(E3Pose):
    """E(3)-Pose as the official program runs it: on its grid, in the file's axis order, without doubts."""

    as_official = True


def official_matrix(
    volume: Volume, estimate: PoseEstimate, scanner_space: bool = False, input_to_canonical: bool = False
) -> np.ndarray:
    """The pose as the official program writes it.

    Parameters
    ----------
    volume : Volume
    estimate : PoseEstimate
    scanner_space : bool
        In RAS mm; otherwise rigid in the file's voxel axes, with the centre in voxels. Of left-handed voxels the latter
        has the fetus's left for x, as there; in RAS x is the fetus's right, unlike there.
    input_to_canonical : bool
        The inverse.

    Returns
    -------
    np.ndarray
        Shape ``[4, 4]``, rigid, determinant +1.
    """
    matrix = estimate.canonical_to_ras
    if not scanner_space:
        rotation = np.linalg.inv(direction_cosines(volume.voxel_to_ras)) @ matrix[:3, :3]
        if volume.is_left_handed:
            rotation[:, 0] *= -1
        matrix = rigid(rotation, transform_points(np.linalg.inv(volume.voxel_to_ras), matrix[:3, 3]))
    return invert_rigid(matrix) if input_to_canonical else matrix


def estimate_folder(options: argparse.Namespace) -> int:
    segmentation = {
        "n_levels": options.unet_n_levels,
        "n_features": options.unet_feat,
        "feature_multiplier": options.unet_feat_mult,
        "activation": options.unet_activation,
        "n_classes": options.unet_n_output_channels,
    }
    rotation = {"n_levels": options.e3cnn_n_levels, "kernel_size": options.e3cnn_kernel_size}
    header = {
        "segmentation_edge": options.unet_crop_size,
        "rotation_edge": options.e3cnn_image_size,
        "thresholds": None if options.seg_thresh is None else tuple(options.seg_thresh),
    }
    left_out = LeftOut()
    tasks = find_tasks([options.input_dir], suffixes=(".nii", ".nii.gz"), on_left_out=left_out)
    left_out.tell()
    folder = prepare_folder(options.output_dir)
    if options.save_masks:  # which the next run would take for scans
        check_folder(folder, tasks)
    keep_freed_memory()
    with made_to_stay():
        model = import_official(
            options.unet,
            options.e3cnn,
            segmentation={name: value for name, value in segmentation.items() if value is not None},
            rotation={name: value for name, value in rotation.items() if value is not None},
            **{name: value for name, value in header.items() if value is not None},
        )
        estimator = PoseEstimator(model, options.device, as_official=True)
    with progress(len(tasks)) as tell:
        report = run_each(tasks, lambda task: _estimate(task, estimator, folder, options), tell)
    print(f"{len(report.done)} of {len(tasks)} poses written to {folder}")
    return SOME_FAILED if report.failed else SUCCESS


def _estimate(task: Task, estimator: PoseEstimator, folder: Path, options: argparse.Namespace) -> None:
    volume = read_volume(task.path)
    estimate = estimator.estimate(volume)
    if options.save_masks:
        mask = Volume(estimate.mask, volume.voxel_to_ras, name=f"mask of {task.name}")
        write_volume(folder / f"{task.name}_mask.nii.gz", mask)
    matrix = official_matrix(volume, estimate, options.scanner_space, options.input_to_canonical)
    write_npy(folder / f"{task.name}.npy", matrix)
    for warning in estimate.warnings:
        tqdm.write(f"{task.name}: {warning}", file=sys.stderr)
