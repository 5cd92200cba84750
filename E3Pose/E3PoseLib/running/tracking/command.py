"""``e3pose track``: the motion of a head in series of scans."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DeviceError, E3PoseError, WorkerError
from ..ending import SOME_FAILED, SUCCESS
from ..memory import keep_freed_memory, made_to_stay

if TYPE_CHECKING:
    # With them come numpy and torch, for which help and errors of usage need not wait.
    from ...imaging.series import Series
    from ...method.estimator import PoseEstimator
    from ..results.bundle import Bundle
    from ..scans.source import Source

ENDINGS = {
    "poses": "_poses.npy",
    "table": "_motion.tsv",
    "picture": "_motion.png",
    "smooth_poses": "_smooth_poses.npy",
    "smooth_table": "_smooth_motion.tsv",
    "aligned": "_aligned.nii.gz",
    "masks": "_masks.nii.gz",
    "json": "_motion.json",
}
"""How the files of each kind end."""


def add_track_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``e3pose track`` but those of model and device."""
    parser.add_argument("series", nargs="+", help="4-D files, or folders of volumes whose names sort by time")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--tr",
        type=_seconds,
        metavar="SECONDS",
        help="between volumes; needed where neither the file nor a JSON file beside it says",
    )
    parser.add_argument(
        "--smooth", action="store_true", help="also write NAME_smooth_poses.npy and NAME_smooth_motion.tsv"
    )
    parser.add_argument(
        "--save-aligned", action="store_true", help="also write NAME_aligned.nii.gz, the series in the head's frame"
    )
    parser.add_argument(
        "--save-mask", action="store_true", help="also write NAME_masks.nii.gz, the brain in each volume"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that stand")


def run_track(options: argparse.Namespace, model: Mapping[str, Any]) -> int:
    """Follow the head in each series; a series that fails does not stop the rest.

    Parameters
    ----------
    options : argparse.Namespace
        See `add_track_arguments`, and ``device``.
    model : mapping
        The arguments of `load_model`.

    Returns
    -------
    int
        The exit status: 1 where a series failed.

    Raises
    ------
    E3PoseError
        If the model, the device or the folder cannot be used.
    """
    keep_freed_memory()
    with made_to_stay():
        from ...imaging.series import find_series
        from ...method.estimator import PoseEstimator
        from ...models.loading import load_model
        from ..picture import check_can_draw
        from ..results.folder import check_folder, prepare_folder
        from ..results.known_model import model_file_hash
        from ..scans.names import names_told_apart
        from ..scans.tasks import Task

    check_can_draw()
    paths = list(dict.fromkeys(Path(path).absolute() for path in options.series))
    found: dict[Path, Series] = {}
    failed: dict[Path, str] = {}
    for path in paths:
        try:
            found[path] = find_series(path, options.tr)
        except E3PoseError as error:
            failed[path] = str(error)
    names = names_told_apart(list(found), [(series.name,) for series in found.values()])
    _check_apart(names, options)
    folder = prepare_folder(options.output)
    check_folder(folder, [Task(one.files[0], name) for one, name in zip(found.values(), names, strict=True)])
    model_file = model_file_hash(model)
    loaded: list[PoseEstimator] = []

    def estimator() -> PoseEstimator:
        if not loaded:
            loaded.append(PoseEstimator(load_model(**model), options.device))
        return loaded[0]

    for note in (note for one in found.values() for note in one.notes):
        print(f"warning: {note}", file=sys.stderr)
    n_skipped = 0
    for (path, series), name in zip(found.items(), names, strict=True):
        settings = {"model_file": model_file, "seconds_between_frames": series.seconds}
        try:
            n_skipped += not _track_one(series, name, folder, settings, estimator, options)
        except (DeviceError, WorkerError):
            raise
        except E3PoseError as error:
            failed[path] = str(error)
    for reason in failed.values():
        print(f"failed: {reason}", file=sys.stderr)
    n_done = len(paths) - len(failed) - n_skipped
    print(f"{n_done} series followed, {n_skipped} already there, {len(failed)} failed; results in {folder}")
    return SOME_FAILED if failed else SUCCESS


def _is_asked_for(kind: str, options: argparse.Namespace) -> bool:
    """Whether a kind of `ENDINGS` is to be written."""
    asked = {
        "smooth_poses": options.smooth,
        "smooth_table": options.smooth,
        "aligned": options.save_aligned,
        "masks": options.save_mask,
    }
    return asked.get(kind, True)


def _check_apart(names: Sequence[str], options: argparse.Namespace) -> None:
    """Refuse series whose results would have the same files, such as ``bold`` smoothed and ``bold_smooth``."""
    from ..scans.names import alike

    owners: dict[str, str] = {}
    for name in names:
        for end in (end for kind, end in ENDINGS.items() if _is_asked_for(kind, options)):
            other = owners.setdefault(alike(f"{name}{end}"), name)
            if other != name:
                raise E3PoseError(f"{name}{end} would be of {other} and of {name}: follow them into different folders")


def _track_one(
    series: Series,
    name: str,
    folder: Path,
    settings: dict[str, Any],
    estimator: Callable[[], PoseEstimator],
    options: argparse.Namespace,
) -> bool:
    """Follow the head in a series and write the results; returns False where they stand already."""
    from tqdm import tqdm

    from ..results.bundle import Bundle
    from ..scans.source import Source
    from .document import FORMAT
    from .followed import follow
    from .writing import write_followed

    files = {kind: folder / f"{name}{end}" for kind, end in ENDINGS.items()}
    everything = Bundle(folder, f"{name}_motion", files, FORMAT)
    # What stands is made anew with the rest, not taken away.
    standing = () if options.overwrite else (everything.document() or {}).get("files", ())
    wanted = {kind: path for kind, path in files.items() if _is_asked_for(kind, options) or kind in standing}
    bundle = replace(everything, files=wanted)
    bundle.check_no_folders()
    origin = {"name": name, "input": str(series.path), "settings": settings}
    source = Source(series.path, series.files if len(series.files) > 1 else ())
    if not options.overwrite and bundle.stands(origin, lambda: bundle.is_whole() and _is_of(bundle, source)):
        return False
    ready = estimator()
    with tqdm(total=series.n_frames, unit="volume", desc=name, disable=None) as bar:
        followed = follow(series, ready, "masks" in wanted, bar.update)
    document = {"format": FORMAT, **origin, "model": ready.model.identity, "source": source.record()}
    write_followed(bundle, document, followed)
    n_failed = sum(frame.pose is None for frame in followed.frames)
    n_doubtful = sum(bool(frame.marks) for frame in followed.frames) - n_failed
    print(f"{name}: {series.n_frames} volumes, {n_failed} without a pose, {n_doubtful} doubtful")
    return True


def _is_of(bundle: Bundle, source: Source) -> bool:
    """Whether results were made from the series as it is."""
    before = (bundle.document() or {}).get("source")
    return isinstance(before, dict) and before.get("sha256") == source.record()["sha256"]


def _seconds(text: str) -> float:
    """A time between volumes from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is no time in seconds, such as 2.5")
    return value
