"""``e3pose prescribe``: the pose in one scan, and stacks of slices along the head's planes as a console takes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...errors import E3PoseError, NoHeadFoundError, PrescriptionError, VolumeError
from ...prescription.settings import PLANES, StackSettings
from ..ending import SOME_FAILED, SUCCESS
from ..memory import made_to_stay

if TYPE_CHECKING:
    # With them come numpy and torch, for which help and errors of usage need not wait.
    from ...imaging.volume import Volume
    from ...method.estimate import PoseEstimate
    from ...prescription.stack import Stack
    from ..results.bundle import Bundle

FORMAT = "e3pose-prescription-1"
SUFFIXES = {"json": "_prescription.json", "txt": "_prescription.txt", "png": "_prescription.png"}
"""How the files of each kind end."""


def add_prescribe_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``e3pose prescribe`` but those of model and device."""
    default = StackSettings()
    parser.add_argument("scan", help="a scan of this session, with the scanner's own coordinates")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--frame", type=int, metavar="N", help="which volume of a 4-D file, from 0")
    parser.add_argument("--overwrite", action="store_true", help="replace results that stand")
    stack = parser.add_argument_group("stack")
    stack.add_argument(
        "--plane", action="append", choices=list(PLANES), help="of the head; may be given again (default: all three)"
    )
    stack.add_argument(
        "--fov",
        type=lambda text: _pair(text, float),
        default=default.field_of_view,
        metavar="MM[xMM]",
        help=f"field of view, along rows and along columns (default: {default.field_of_view[0]:g})",
    )
    stack.add_argument(
        "--matrix",
        type=lambda text: _pair(text, int),
        default=default.matrix,
        metavar="N[xN]",
        help=f"pixels along rows and along columns (default: {default.matrix[0]})",
    )
    for name, explanation in (
        ("thickness", "of a slice"),
        ("gap", "between slices; negative where they overlap"),
        ("margin", "around the brain"),
    ):
        value = getattr(default, name)
        stack.add_argument(
            f"--{name}", type=float, default=value, metavar="MM", help=f"{explanation} (default: {value:g})"
        )
    stack.add_argument(
        "--max-slices",
        type=int,
        default=default.max_slices,
        metavar="N",
        help=f"a stack may not have more (default: {default.max_slices})",
    )


def run_prescribe(options: argparse.Namespace, model: Mapping[str, Any]) -> int:
    """Estimate the pose, plan the stacks, write document, text and picture, and print the text.

    Parameters
    ----------
    options : argparse.Namespace
        See `add_prescribe_arguments`, and ``device``.
    model : mapping
        The arguments of `load_model`.

    Returns
    -------
    int
        The exit status: 1 where the scan itself cannot be used or shows no head.

    Raises
    ------
    E3PoseError
        If the model, the device or the output cannot be used, something would have to be replaced unasked, or no stack
        as asked for covers the brain.
    """
    settings = StackSettings(
        options.fov, options.matrix, options.thickness, options.gap, options.margin, options.max_slices
    )
    planes = list(dict.fromkeys(options.plane or PLANES))
    with made_to_stay():
        from ...imaging.formats.nifti_orientation import other_coordinates
        from ...method.estimator import PoseEstimator
        from ...models.loading import load_model
        from ...prescription.report import doubt_lines, prescription_text
        from ...prescription.stack import CUT_BRAIN, plan_stack
        from ..picture import check_can_draw
        from ..results.bundle import Bundle
        from ..results.folder import check_folder, prepare_folder
        from ..scans.reading import read_scan
        from ..scans.tasks import find_tasks

    check_can_draw()
    task, *more = find_tasks([options.scan], options.frame)
    if more:
        raise E3PoseError(f"{options.scan}: holds {len(more) + 1} scans; slices are prescribed by one")
    loaded = load_model(**model)
    estimator = PoseEstimator(loaded, options.device)
    folder = prepare_folder(options.output)
    check_folder(folder, [task])
    files = {kind: folder / f"{task.name}{suffix}" for kind, suffix in SUFFIXES.items()}
    origin = {
        "format": FORMAT,
        "name": task.name,
        "input": str(task.real_path),
        "frame": task.frame,
        "settings": {"model": loaded.identity, "planes": planes, **_as_read_back(settings)},
    }
    bundle = Bundle(folder, f"{task.name}_prescription", files, FORMAT)
    bundle.check_no_folders()
    if not options.overwrite:
        bundle.stands(origin)
    try:
        volume, _ = read_scan(task)
        estimate = estimator.estimate(volume)
    except (VolumeError, NoHeadFoundError) as error:
        print(f"{task.name}: failed: {error}", file=sys.stderr)
        return SOME_FAILED
    pose, mask, voxel_to_ras = estimate.canonical_to_ras, estimate.mask, volume.voxel_to_ras
    is_cut = estimate.confidence.brain_is_cut
    try:
        stacks = [plan_stack(plane, pose, mask, voxel_to_ras, settings, is_cut) for plane in planes]
    except PrescriptionError:
        # A brain that no stack covers may be none.
        for line in doubt_lines(estimate.confidence.level, estimate.warnings):
            print(line, file=sys.stderr)
        raise
    other = other_coordinates(task.path)
    of_file = [*volume.doubts, *([] if other is None else [other])]
    warnings = [*([CUT_BRAIN] if is_cut else []), *(one for one in estimate.warnings if one not in of_file)]
    text = prescription_text(task.name, stacks, estimate.confidence.level, warnings, of_file)
    _write(bundle, origin, text, volume, estimate, stacks, [*of_file, *warnings])
    print(text, end="")
    for path in files.values():
        print(f"  {path}")
    return SUCCESS


def _pair(text: str, number: type) -> tuple:
    """One number for both, or two with an x between them, from the command line."""
    try:
        values = [number(part) for part in text.lower().replace("×", "x").split("x")]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise argparse.ArgumentTypeError(f"{text!r} is neither one number nor two such as 256x192")
    return values[0], values[-1]


def _as_read_back(settings: StackSettings) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def _write(
    bundle: Bundle,
    origin: Mapping[str, Any],
    text: str,
    volume: Volume,
    estimate: PoseEstimate,
    stacks: list[Stack],
    warnings: list[str],
) -> None:
    """All files or none: they take their places together, the document last."""
    from ...prescription.report import NOT_CLINICAL, stack_numbers
    from .picture import draw_stacks

    document = {
        **origin,
        "note": NOT_CLINICAL,
        "confidence": estimate.confidence.as_dict(),
        "warnings": warnings,
        "canonical_to_ras": estimate.canonical_to_ras,
        "stacks": {stack.plane: stack_numbers(stack) for stack in stacks},
    }
    with bundle.written(document) as parts:
        draw_stacks(parts["png"], volume, estimate, stacks)
        parts["txt"].write_text(text, encoding="utf-8")
