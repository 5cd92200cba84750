"""``e3pose align``: the stacks of one fetus in one upright frame, as programs that reconstruct a volume take them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AlignmentError, E3PoseError
from ..ending import SOME_FAILED, SUCCESS
from ..memory import made_to_stay

if TYPE_CHECKING:
    # With them comes torch, for which help and errors of usage need not wait.
    from ...alignment.stack import Sample
    from ..results.bundle import Bundle
    from ..scans.tasks import Task
    from .reading import ReadStack
    from .writing import Aligned

FORMAT = "e3pose-alignment-1"


def add_align_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``e3pose align`` but those of model and device."""
    parser.add_argument("stack", nargs="+", help="stacks of one fetus, or a folder of them")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--mask", nargs="+", metavar="FILE", help="brain masks, one for each stack and in their order (default: found)"
    )
    parser.add_argument("--thickness", nargs="+", type=_mm, metavar="MM", help="of a slice: one for all, or one each")
    parser.add_argument("--resample", type=_mm, metavar="MM", help="write resampled stacks, not moved headers")
    parser.add_argument("--no-refine", action="store_true", help="leave out registration: poses as estimated")
    parser.add_argument(
        "--furthest",
        type=_mm,
        default=60.0,
        metavar="MM",
        help="a head further from the others, in the scanner's world, is another one (default: 60)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that stand")


def run_align(options: argparse.Namespace, model: Mapping[str, Any]) -> int:
    """Align stacks, write everything, and print what became of each.

    Parameters
    ----------
    options : argparse.Namespace
        See `add_align_arguments`, and ``device``.
    model : mapping
        The arguments of `load_model`.

    Returns
    -------
    int
        The exit status: 1 where a stack was left out, or no two agree.

    Raises
    ------
    E3PoseError
        If the model, the device or the output cannot be used, a mask does not fit, or something would have to be
        replaced unasked.
    """
    with made_to_stay():
        from ...method.estimator import PoseEstimator
        from ...models.loading import load_model
        from ..picture import check_can_draw
        from ..results.bundle import Bundle
        from ..results.folder import check_folder, prepare_folder
        from ..scans.tasks import find_tasks
        from ..screen.progress import LeftOut
        from .reading import read_stacks
        from .together import bring_together, can_register
        from .writing import files_of_stacks, ordered, steps_text, table, write_stack

    check_can_draw()
    left_out = LeftOut()
    tasks = find_tasks(options.stack, apart_from=options.output, on_left_out=left_out)
    left_out.tell()
    masks = _one_each("--mask", options.mask, tasks)
    thicknesses = _one_each("--thickness", options.thickness, tasks, one_for_all=True)
    loaded = load_model(**model)
    estimator = PoseEstimator(loaded, options.device)
    folder = prepare_folder(options.output)
    for place in (folder, folder / "stacks", folder / "masks"):
        check_folder(place, tasks)
    names = [task.name for task in tasks]
    possible = Bundle(folder, "alignment", files_of_stacks(folder, names), FORMAT)
    possible.check_no_folders()
    origin = {
        "format": FORMAT,
        "inputs": [{"name": task.name, "input": str(task.real_path), "frame": task.frame} for task in tasks],
        "settings": {
            "model": loaded.identity,
            "resample": options.resample,
            "refine": not options.no_refine,
            "furthest": options.furthest,
            "masks": None if options.mask is None else [str(Path(path).resolve()) for path in options.mask],
            "thickness": options.thickness,
        },
    }
    wants_registration = not options.no_refine and can_register()
    is_current = partial(_are_current, possible, tasks, masks, wants_registration)
    if not options.overwrite and possible.stands(origin, is_current):
        print(f"already there: {folder}")
        return _tell_standing(possible.document() or {})
    stacks, failed = read_stacks(tasks, [None if path is None else Path(path) for path in masks], estimator)
    if not stacks:
        print("no stack can be used", file=sys.stderr)
        return SOME_FAILED
    try:
        found = bring_together([one.posed for one in stacks], not options.no_refine, options.furthest)
    except AlignmentError as error:
        print(error, file=sys.stderr)
        return SOME_FAILED
    for remark in found.remarks:
        print(remark, file=sys.stderr)
    given = dict(zip(names, thicknesses, strict=True))
    aligned = ordered(
        [_aligned(read, one, found.together, given) for read, one in zip(stacks, found.placed, strict=True)]
    )
    kept = [one for one in aligned if one.placed.is_kept]
    files = files_of_stacks(folder, [one.read.task.name for one in kept])
    document = {**origin, **_document(aligned, failed, masks, tasks)}
    document |= {"registered": found.is_registered, "remarks": found.remarks}
    with Bundle(folder, "alignment", files, FORMAT).written(document) as parts:
        for one in kept:
            write_stack(parts, one, found.together, options.resample)
        parts["csv"].write_text(table(aligned, failed), encoding="utf-8")
        thickness_is_known = options.thickness is not None
        steps = steps_text(folder, kept, thickness_is_known, options.resample, found.remarks)
        parts["next"].write_text(steps, encoding="utf-8")
        from .picture import draw_alignment

        draw_alignment(parts["png"], aligned, found.together)
    _tell(aligned, files)
    is_all_taken = len(kept) == len(tasks) and not any(one.read.mask_refused for one in aligned)
    return SUCCESS if is_all_taken else SOME_FAILED


def _one_each(option: str, given: Sequence | None, tasks: Sequence[Task], one_for_all: bool = False) -> list:
    if given is None:
        return [None] * len(tasks)
    if one_for_all and len(given) == 1:
        return list(given) * len(tasks)
    if len(given) != len(tasks):
        raise E3PoseError(f"{option}: {len(given)} given for {len(tasks)} stacks; give one for each, in their order")
    return list(given)


def _are_current(bundle: Bundle, tasks: Sequence[Task], masks: Sequence[str | None], wants_registration: bool) -> bool:
    """Whether the results of these very files stand, whole, and nothing was left out for want of a package."""
    from ..results.bundle import Bundle as Known

    document = bundle.document()
    if document is None or document.get("content") != _content(tasks, masks):
        return False
    if wants_registration and not document.get("registered"):
        return False
    paths = document.get("paths")
    if not isinstance(paths, dict):
        return False
    files = {kind: bundle.folder / path for kind, path in paths.items() if isinstance(path, str)}
    return Known(bundle.folder, bundle.name, {**files, "json": bundle.files["json"]}, FORMAT).is_whole()


def _tell_standing(document: dict) -> int:
    """Say what there is to say of results that stand, and return the exit status that they had."""
    for remark in document.get("remarks", ()):
        print(remark, file=sys.stderr)
    words = {one["name"]: "; ".join(one["remarks"]) for one in document.get("stacks", ()) if not one["kept"]}
    words |= {name: f"left out: {reason}" for name, reason in document.get("failed", {}).items()}
    for one in document.get("stacks", ()):
        if one.get("mask_refused"):
            words[one["name"]] = f"the brain that was found was used: {one['mask_refused']}"
    for name, reason in words.items():
        print(f"{name}: {reason}", file=sys.stderr)
    return SOME_FAILED if words else SUCCESS


def _content(tasks: Sequence[Task], masks: Sequence[str | None]) -> dict[str, str]:
    """Hashes of all files that results are made from; of one that cannot be read ""."""
    from ...imaging.formats import files_of
    from ..scans.source import content_hash

    found = {}
    paths = [*((task.name, task.path) for task in tasks)]
    paths += [(f"mask of {task.name}", Path(mask)) for task, mask in zip(tasks, masks, strict=True) if mask is not None]
    for name, path in paths:
        try:
            found[name] = content_hash(files_of(path))
        except OSError:
            found[name] = ""
    return found


def _aligned(read: ReadStack, placed: Any, together: Sample, thicknesses: Mapping[str, float | None]) -> Aligned:
    from ...alignment.quality import quality
    from .writing import Aligned

    worth = quality(placed, together) if placed.is_kept else None
    given = thicknesses[read.task.name]
    return Aligned(read, placed, worth, float(read.posed.volume.spacing.max()) if given is None else given)


def _document(
    aligned: Sequence[Aligned], failed: Mapping[str, str], masks: Sequence[str | None], tasks: Sequence[Task]
) -> dict:
    from .writing import remarks, stack_numbers

    return {
        "note": "common frame: millimetres, origin the brain's centre, +x the fetus's right, +y anterior, +z superior",
        "content": _content(tasks, masks),
        "stacks": [
            {
                "name": one.read.task.name,
                "kept": one.placed.is_kept,
                "remarks": remarks(one),
                **stack_numbers(one),
                "common_to_ras": one.placed.frame_to_ras,
                "canonical_to_ras": one.read.posed.canonical_to_ras,
                "warnings": list(one.read.estimate.warnings),
                "source": one.read.source,
                "mask_refused": one.read.mask_refused,
            }
            for one in aligned
        ],
        "failed": dict(failed),
    }


def _tell(aligned: Sequence[Aligned], files: Mapping[str, Path]) -> None:
    """What became of each stack, on the screen; what speaks against one goes to where errors go."""
    from .writing import remarks

    for number, one in enumerate(aligned, 1):
        said = "; ".join(remarks(one))
        if one.quality is None:
            print(f"{one.read.task.name}: {said}", file=sys.stderr)
            continue
        numbers = f"coverage {one.quality.coverage:.0%}, slices at their place {one.quality.slices_at_place:.0%}"
        alike = "" if one.placed.likeness is None else f"likeness {one.placed.likeness:.2f}, "
        print(f"{number}. {one.read.task.name}: {alike}{numbers}" + (f"; {said}" if said else ""))
    for kind in ("csv", "next", "png", "json"):
        print(f"  {files[kind]}")


def _mm(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is no length between 0.1 and 1000 mm")
    return value
