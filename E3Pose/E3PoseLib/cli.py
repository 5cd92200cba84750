"""The command line: ``e3pose estimate | demo | prescribe | import-weights | models | evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from . import __version__
from .errors import E3PoseError, ModelError
from .running.ending import SUCCESS, exit_status
from .running.prescribe.command import add_prescribe_arguments, run_prescribe

if TYPE_CHECKING:
    from .method.estimator import PoseEstimator
    from .running.scans.tasks import Task
    from .running.team import Team


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 all good, 1 some scans failed, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    return exit_status("e3pose", lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="e3pose", description="How a fetus's head lies in an MR scan.")
    parser.add_argument("--version", action="version", version=f"e3pose {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    estimate = commands.add_parser(
        "estimate",
        help="estimate the pose of the head in scans",
        description="For each scan write NAME.npy, NAME.tfm and NAME.json, and for all of them one poses.csv; of those "
        "that fail, NAME.failed and one failures.csv. Scans whose results stand already are skipped. Exit status: 0 "
        "all good, 1 some scans failed, 2 wrong usage, 130 interrupted.",
    )
    estimate.add_argument("input", nargs="+", help="NIfTI files, or folders of them")
    estimate.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    _add_model_options(estimate)
    add_device_option(estimate)
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
    estimate.set_defaults(run=_estimate)

    demo = commands.add_parser(
        "demo",
        help="estimate one scan and draw it before and after",
        description="Write the pose, the brain's mask, the scan resliced in the head's planes, and one picture.",
    )
    demo.add_argument("scan", nargs="?", help="a NIfTI file (default: a synthetic scan that comes with E3Pose)")
    demo.add_argument("-o", "--output", default="demo", metavar="DIR", help="folder of the results (default: demo)")
    demo.add_argument("--overwrite", action="store_true", help="replace results that stand")
    _add_model_options(demo)
    add_device_option(demo)
    demo.set_defaults(run=_demo)

    prescribe = commands.add_parser(
        "prescribe",
        help="plan slices along the head's planes, in the numbers that scanners take",
        description="Write NAME_prescription.json, .txt and .png, and print the text: orientation and position for "
        "Siemens and Philips consoles, and DICOM vectors. Not for clinical use. Exit status: 0 all good, 1 the scan "
        "failed, 2 wrong usage, 130 interrupted.",
    )
    add_prescribe_arguments(prescribe)
    _add_model_options(prescribe)
    add_device_option(prescribe)
    prescribe.set_defaults(run=lambda options: run_prescribe(options, _model_asked_for(options)))

    weights = commands.add_parser("import-weights", help="make one model file from official E(3)-Pose weights")
    weights.add_argument("unet", help="the U-Net's Lightning checkpoint, .ckpt")
    weights.add_argument("e3cnn", help="the E(3)-CNN's weights, .pth")
    weights.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file, .safetensors")
    weights.add_argument("--overwrite", action="store_true", help="replace a file that stands")
    weights.set_defaults(run=_import_weights)

    models = commands.add_parser("models", help="list the models that can be named with --model, with their cards")
    models.set_defaults(run=_models)

    # Its arguments belong to the training package, which may be absent; so nothing here begins an option.
    evaluate = commands.add_parser(
        "evaluate", help="compare estimated poses with the truth (training package)", add_help=False, prefix_chars="\0"
    )
    evaluate.add_argument("arguments", nargs="*")
    evaluate.set_defaults(run=_evaluate)
    return parser


def _evaluate(options: argparse.Namespace) -> int:
    return _training_part("E3PoseTraining.evaluation.__main__").main(options.arguments)


def _training_part(name: str) -> ModuleType:
    """A module of the training package, which this library does without where it is not asked for."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise E3PoseError(
            f"this needs the training package, which lacks {error.name}; install it, in the project's folder: "
            "pip install '.[training]'"
        ) from error


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME|FILE", help="a model's name or .safetensors file (default: default)")
    group.add_argument("--unet", metavar="CKPT", help="official U-Net weights, together with --e3cnn")
    group.add_argument("--e3cnn", metavar="PTH", help="official E(3)-CNN weights, together with --unet")


def _model_asked_for(options: argparse.Namespace) -> dict[str, str | None]:
    """The arguments of `load_model`."""
    source = "default" if options.model is None else options.model
    return {"source": source, "unet": options.unet, "e3cnn": options.e3cnn}


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")


def voxel_size(text: str) -> float:
    """A voxel size in mm from the command line."""
    value = float(text)
    if not 0.1 <= value <= 20:
        raise argparse.ArgumentTypeError(f"{text} is no voxel size between 0.1 and 20 mm")
    return value


def positive_int(text: str) -> int:
    """A number of things from the command line, at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _estimate(options: argparse.Namespace) -> int:
    if options.model is not None and (options.unet or options.e3cnn):
        raise ModelError("give either --model or --unet and --e3cnn, not both")
    # Here, so that help and errors of usage do not wait for numpy and torch.
    from .running.scans.tasks import find_tasks
    from .running.team import Team

    tasks = find_tasks(options.input, options.frame, options.all_frames)
    nodes = _training_part("E3PoseTraining.training.nodes").Nodes(options.num_nodes) if options.num_nodes > 1 else None
    if nodes:
        tasks = nodes.share(tasks)
    # No more processes than scans: each takes seconds to begin.
    processes = min(options.devices, len(tasks))
    model = _model_asked_for(options)
    with Team(model, options.device, options.precision, processes) if processes > 1 else nullcontext() as team:
        status = _estimate_all(tasks, options, model, team)
    if nodes and nodes.until_all_are_done():
        from .running.results.tables import write_tables

        write_tables(options.output)
    return status


def _estimate_all(tasks: Sequence[Task], options: argparse.Namespace, model: dict, team: Team | None) -> int:
    """Estimate the pose in scans, by a team or in this very process; returns the exit status."""
    from .running.progress import run_with_progress
    from .running.results.folder import prepare_folder
    from .running.results.settings import Settings

    prepare_folder(options.output)
    estimator: PoseEstimator | Team
    if team:
        estimator, identity = team, team.model
    else:
        estimator = _own_estimator(model, options)
        identity = estimator.model.identity
    settings = Settings(
        model=identity,
        space=options.space,
        direction=options.direction,
        save_mask=options.save_mask,
        precision=options.precision,
        reslice_spacing=options.save_resliced,
    )
    return run_with_progress(tasks, estimator, options.output, settings, options.overwrite)


def _own_estimator(model: dict, options: argparse.Namespace) -> PoseEstimator:
    """One in this process, which ends with its work."""
    from .running.memory import keep_freed_memory, made_to_stay

    keep_freed_memory()
    with made_to_stay():
        from .method.estimator import PoseEstimator
        from .models.model import load_model

        return PoseEstimator(load_model(**model), options.device, precision=options.precision)


def _demo(options: argparse.Namespace) -> int:
    from .running.memory import made_to_stay

    with made_to_stay():
        from .running.demo import run_demo

    run_demo(options.scan, options.output, _model_asked_for(options), options.device, options.overwrite)
    return SUCCESS


def _import_weights(options: argparse.Namespace) -> int:
    from .errors import OutputError
    from .models.model import import_official

    target = Path(options.output)
    if target.suffix != ".safetensors":
        raise OutputError(f"{target}: a model file ends in .safetensors")
    if target.exists() and not options.overwrite:
        raise OutputError(f"{target}: stands already; replace it with --overwrite")
    model = import_official(options.unet, options.e3cnn)
    model.save(target)
    print(f"{target}: U-Net {model.header.segmentation}, E(3)-CNN {model.header.rotation}")
    return SUCCESS


def _models(options: argparse.Namespace) -> int:
    from .models.catalog import CARD_FIELDS, available_models, model_folders, read_header

    models = available_models()
    if not models:
        folders = " or ".join(map(str, model_folders()))
        print(f"No model is installed. Make one with 'e3pose import-weights' and put it into {folders}.")
    for name, path in models.items():
        try:
            header = read_header(path)
        except ModelError as error:
            print(f"{name}: {error}")
            continue
        print(f"{name}  ({path})")
        for label in CARD_FIELDS:
            if getattr(header, label):
                print(f"    {label.replace('_', ' ')}: {getattr(header, label)}")
    return SUCCESS
