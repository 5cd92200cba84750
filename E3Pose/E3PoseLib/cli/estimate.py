"""``e3pose estimate``: the poses of many scans."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import MethodError, ModelError
from ..running.ending import SAME_COMMAND
from .options import add_device_option, add_model_options, model_asked_for, positive_int, voxel_edges, voxel_size
from .training import training_part

if TYPE_CHECKING:
    from ..method.estimator import PoseEstimator
    from ..running.scans.tasks import Task
    from ..running.team import Team


def add_estimate(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    estimate: argparse.ArgumentParser = commands.add_parser(
        "estimate",
        help="estimate the pose of the head in scans",
        description="For each scan write NAME.npy, NAME.tfm and NAME.json, and for all of them one poses.csv; of those "
        "that fail, NAME.failed and one failures.csv. Scans whose results stand already are skipped. Exit status: 0 "
        "all good, 1 some scans failed, 2 wrong usage, 130 interrupted.",
    )
    estimate.add_argument("input", nargs="+", help="scans (NIfTI, MGH, NRRD, MetaImage, DICOM), or folders of them")
    estimate.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    add_model_options(estimate)
    add_device_option(estimate)
    add_method_options(estimate)
    estimate.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "float16", "auto"),
        default="float32",
        help="of the U-Net; less may be faster on GPUs and on CPUs with AMX, and masks may change by some voxels; "
        "auto tries it on the first scan and keeps it where it is faster and the mask the same",
    )
    estimate.add_argument(
        "--space", choices=("ras", "voxel"), default="ras", help="space of the matrix in .npy and poses.csv"
    )
    estimate.add_argument(
        "--direction",
        choices=("canonical-to-input", "input-to-canonical"),
        default="canonical-to-input",
        help="direction of the written transforms",
    )
    estimate.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="take the scans of all subfolders too; their results are named by their paths: sub-01_anat_T2w",
    )
    estimate.add_argument(
        "--bids",
        action="store_true",
        help="the inputs are BIDS data sets: results become a data set of derivatives, and poses.csv has subject, "
        "session and run",
    )
    estimate.add_argument(
        "--voxel-size",
        type=voxel_edges,
        metavar="MM[xMMxMM]",
        help="of files that have lost it, for all axes or for i, j and k: 3 or 1.1x1.1x3.3",
    )
    frames = estimate.add_mutually_exclusive_group()
    frames.add_argument("--frame", type=int, metavar="N", help="which volume of 4-D files, from 0")
    frames.add_argument("--all-frames", action="store_true", help="every volume of 4-D files")
    estimate.add_argument(
        "--save-mask", action="store_true", help="also write NAME_mask.nii.gz, the brain in the scan's grid"
    )
    estimate.add_argument(
        "--save-resliced",
        type=voxel_size,
        metavar="SPACING",
        help="also write NAME_resliced.nii.gz, the scan in the head's planes with voxels of SPACING mm",
    )
    estimate.add_argument("--overwrite", action="store_true", help="replace results that stand")
    estimate.add_argument(
        "--devices",
        type=positive_int,
        default=1,
        metavar="N",
        help="processes that share the scans, on NVIDIA GPUs in turn (default: 1)",
    )
    estimate.add_argument(
        "--num-nodes",
        type=positive_int,
        default=1,
        metavar="N",
        help="nodes that share them, started by SLURM, one task on each; needs the training package (default: 1)",
    )
    estimate.set_defaults(run=run_estimate, after_interrupt=SAME_COMMAND)


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--method`` and what other methods are told."""
    group = parser.add_argument_group("another method (training package)")
    group.add_argument(
        "--method",
        metavar="NAME|FILE.py:CLASS",
        help="a method that E(3)-Pose is compared with, or your own; see docs/methods.md (default: e3-pose)",
    )
    group.add_argument(
        "--age", metavar="WEEKS|CSV", help="gestational age, or a table of frame_id, gestational_age_weeks"
    )
    group.add_argument("--templates", metavar="DIR", help="templates of heads, for methods by registration")
    group.add_argument("--weights", metavar="FILE", help="weights of a learned method (default: those of the project)")
    group.add_argument(
        "--localiser",
        metavar="NAME|FILE",
        help="a U-Net that finds the brain anew for the method: e3nn-unet, plain-unet, or a file of weights",
    )


def run_estimate(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    if options.model is not None and (options.unet or options.e3cnn):
        raise ModelError("give either --model or --unet and --e3cnn, not both")
    # Here, so that help and errors of usage do not wait for numpy and torch.
    from ..running.scans.tasks import find_tasks
    from ..running.screen.progress import LeftOut

    left_out = LeftOut()
    tasks = find_tasks(
        options.input,
        options.frame,
        options.all_frames,
        recursive=options.recursive,
        bids=options.bids,
        apart_from=options.output,
        on_left_out=left_out,
    )
    left_out.tell()
    nodes = training_part("E3PoseTraining.training.nodes").Nodes(options.num_nodes) if options.num_nodes > 1 else None
    if nodes:
        tasks = nodes.share(tasks)
    with ExitStack() as until_done:
        status = _estimate_all(tasks, options, until_done)
    if nodes and nodes.until_all_are_done():
        from ..running.screen.progress import list_results

        status = max(status, list_results(options.output))
    return status


def _estimate_all(tasks: Sequence[Task], options: argparse.Namespace, until_done: ExitStack) -> int:
    """Estimate the pose in scans, by a team or in this very process; returns the exit status."""
    from ..running.results.folder import prepare_folder
    from ..running.results.known_model import model_file_hash
    from ..running.results.settings import E3_POSE, Settings
    from ..running.screen.progress import run_with_progress
    from ..running.team import Estimators, Team

    model = model_asked_for(options)
    if options.method not in (None, E3_POSE):
        return training_part("E3PoseTraining.methods.command").estimate_by_method(tasks, options, model)
    for flag in ("age", "templates", "weights", "localiser"):
        if getattr(options, flag) is not None:
            raise MethodError(f"--{flag} is of other methods; E(3)-Pose needs none: name one with --method")

    def make_estimator(n_scans: int) -> PoseEstimator | Team:
        # No more processes than scans: each takes seconds to begin.
        processes = min(options.devices, n_scans)
        if processes > 1:
            return until_done.enter_context(Team(model, options.device, options.precision, processes))
        return _own_estimator(model, options)

    estimators = Estimators(make_estimator, model_file_hash(model))
    folder = prepare_folder(options.output)
    settings = Settings(
        model=estimators.identity(folder, tasks),
        space=options.space,
        direction=options.direction,
        save_mask=options.save_mask,
        precision=options.precision,
        reslice_spacing=options.save_resliced,
        voxel_size=options.voxel_size,
        model_file=estimators.file_hash,
    )
    return run_with_progress(tasks, estimators, folder, settings, options.overwrite)


def _own_estimator(model: dict, options: argparse.Namespace) -> PoseEstimator:
    """One in this process, which ends with its work."""
    from ..running.memory import keep_freed_memory, made_to_stay

    keep_freed_memory()
    with made_to_stay():
        from ..method.estimator import PoseEstimator
        from ..models.loading import load_model

        return PoseEstimator(load_model(**model), options.device, precision=options.precision)
