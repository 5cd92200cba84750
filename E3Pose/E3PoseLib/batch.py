"""Many scans: what to do, what is done already, and results that are whole whenever the run is stopped."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .errors import E3PoseError, OutputError, TransformError
from .estimate import PoseEstimate
from .estimator import PoseEstimator
from .files import whole_file
from .geometry import read_json, write_itk, write_json, write_npy
from .resampling import reslice
from .summary import eyes_in_numbers
from .volume import NIFTI_SUFFIXES, Volume, count_frames, read_volume, write_volume

CSV_NAME = "poses.csv"
FORMAT = "e3pose-pose-1"
DIRECTIONS = ("canonical-to-input", "input-to-canonical")


@dataclass(frozen=True)
class Task:
    """One scan to estimate.

    Parameters
    ----------
    path : Path
    name : str
        Of its results.
    frame : int, optional
        Of a 4-D file.
    """

    path: Path
    name: str
    frame: int | None = None


@dataclass(frozen=True)
class Settings:
    """What is written for each scan.

    Parameters
    ----------
    model : str
        Recorded with each result.
    space : str
        "ras" (mm) or "voxel" (indices of the file's own voxels), of the matrix in ``.npy`` and ``poses.csv``.
    direction : str
        "canonical-to-input" or "input-to-canonical".
    save_mask : bool
    precision : str
        As asked for; recorded with each result, beside what the U-Net ran in.
    reslice_spacing : float, optional
        Also write the scan resliced in the head's planes, with voxels of so many mm.
    """

    model: str
    space: str = "ras"
    direction: str = "canonical-to-input"
    save_mask: bool = False
    precision: str = "float32"
    reslice_spacing: float | None = None

    def matrix(self, volume: Volume, estimate: PoseEstimate) -> np.ndarray:
        """The 4×4 matrix asked for; to and from voxels it is affine, exact for any voxel size and handedness."""
        matrix = estimate.canonical_to_ras
        if self.space == "voxel":
            matrix = np.linalg.inv(volume.voxel_to_ras) @ matrix
        return matrix if self.direction == DIRECTIONS[0] else np.linalg.inv(matrix)


@dataclass
class Report:
    """What became of the scans of a run."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def find_tasks(
    inputs: Iterable[str | os.PathLike],
    frame: int | None = None,
    all_frames: bool = False,
    suffixes: tuple[str, ...] = NIFTI_SUFFIXES,
) -> list[Task]:
    """List the scans behind files and folders.

    Parameters
    ----------
    inputs : iterable of path-like
        Image files, or folders whose image files are taken in the order of their names.
    frame : int, optional
        Of each 4-D file.
    all_frames : bool
        Take every frame of a 4-D file as a scan of its own.
    suffixes : tuple of str
        How the names of image files end, in lower case.

    Raises
    ------
    E3PoseError
        If a folder holds no image file or cannot be read, or two inputs would write the same results.
    """
    tasks: dict[str, Task] = {}
    # A file that is named twice, by itself and by its folder, is one scan.
    for path in {path.resolve(): path for path in _files(inputs, suffixes)}.values():
        stem = name_without_suffix(path, suffixes)
        n_frames = _frames_or_one(path) if all_frames else 1
        for index in range(n_frames):
            many = n_frames > 1
            task = Task(path, f"{stem}_frame{index:04d}" if many else stem, index if many else frame)
            clash = tasks.setdefault(task.name, task)
            if clash is not task:
                raise E3PoseError(f"{clash.path} and {path} would both be written as {task.name!r}: rename one")
    return list(tasks.values())


def name_without_suffix(path: Path, suffixes: Iterable[str] = NIFTI_SUFFIXES) -> str:
    """A file's name without its format's suffix.

    >>> name_without_suffix(Path("scans/fetus.01.nii.gz"))
    'fetus.01'
    """
    for suffix in sorted(suffixes, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _files(inputs: Iterable[str | os.PathLike], suffixes: tuple[str, ...]) -> Iterator[Path]:
    for path in map(Path, inputs):
        if not path.is_dir():
            yield path
            continue
        try:
            found = sorted(file for file in path.iterdir() if file.name.lower().endswith(suffixes) and file.is_file())
        except OSError as error:
            raise E3PoseError(f"{path}: this folder cannot be read ({error.strerror})") from error
        if not found:
            raise E3PoseError(f"{path}: no {', '.join(suffixes)} file in this folder")
        yield from found


def _frames_or_one(path: Path) -> int:
    """Frames of a file; of an unreadable one a single task, which then fails with its reason."""
    try:
        return count_frames(path)
    except E3PoseError:
        return 1


def run_batch(
    tasks: Sequence[Task],
    estimator: PoseEstimator,
    folder: str | os.PathLike,
    settings: Settings,
    *,
    overwrite: bool = False,
    read: Callable[[Task], Volume] | None = None,
    also: Sequence[str] = (),
    on_result: Callable[[Task, str], None] = lambda task, message: None,
) -> Report:
    """Estimate scans one by one; a scan whose results stand already is skipped, one that fails does not stop the rest.

    ``poses.csv`` is written anew from all results in the folder when the run ends, also by an interrupt.

    Parameters
    ----------
    tasks : sequence of Task
    estimator : PoseEstimator
    folder : path-like
        Of the results; made if need be.
    settings : Settings
    overwrite : bool
        Estimate scans again whose results stand.
    read : callable, optional
        How to read a scan, `read_volume` if not given.
    also : sequence of str
        Endings of files that the estimator itself writes for each scan, without which its results do not stand.
    on_result : callable, optional
        Told of each scan and why it failed ("" where it did not).

    Returns
    -------
    Report

    Raises
    ------
    OutputError
        If nothing can be written to the folder, or scans lie in it.
    """
    folder = prepare_folder(folder)
    check_folder(folder, tasks)
    read = read or (lambda task: read_volume(task.path, task.frame))

    def work(task: Task) -> bool:
        if not overwrite and _stands(task, folder, settings, also):
            return False
        volume = read(task)
        write_results(folder, task, volume, estimator.estimate(volume), settings)
        return True

    try:
        return run_each(tasks, work, on_result)
    finally:
        write_table(folder)


def run_each(
    tasks: Iterable[Task],
    work: Callable[[Task], bool],
    on_result: Callable[[Task, str], None] = lambda task, message: None,
) -> Report:
    """Do something with each scan; one that fails does not stop the rest.

    Parameters
    ----------
    tasks : iterable of Task
    work : callable
        Returns False for a scan that needed no work.
    on_result : callable, optional
        As in `run_batch`.

    Returns
    -------
    Report
    """
    report = Report()
    for task in tasks:
        message = ""
        try:
            (report.done if work(task) else report.skipped).append(task.name)
        except E3PoseError as error:
            message = report.failed[task.name] = str(error)
        except Exception as error:
            # Whatever this scan has hit, the ones behind it have a right to their turn.
            message = report.failed[task.name] = f"{task.path}: {type(error).__name__}: {error}"
        on_result(task, message)
    return report


def prepare_folder(folder: str | os.PathLike) -> Path:
    """Make the folder of the results and try it.

    Raises
    ------
    OutputError
        If it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another output folder") from error
    try:
        # Nameless, so that processes which share the folder do not meet.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to ({error.strerror}); choose another output folder") from error
    return folder


def check_folder(folder: Path, tasks: Iterable[Task]) -> None:
    """Keep results out of the scans' own folder.

    A scan's JSON, or a mask drawn by hand, may have the very name of a result, and the next run would take masks for
    scans.

    Raises
    ------
    OutputError
        If one of the scans lies in the folder of the results.
    """
    for task in tasks:
        if task.path.resolve().parent == folder.resolve():
            raise OutputError(f"{folder}: holds scans ({task.path.name}); choose another folder for the results")


def _outputs(folder: Path, task: Task, settings: Settings) -> dict[str, Path]:
    names = {"npy": ".npy", "tfm": ".tfm"}
    if settings.save_mask:
        names["mask"] = "_mask.nii.gz"
    if settings.reslice_spacing is not None:
        names["resliced"] = "_resliced.nii.gz"
    names["json"] = ".json"
    return {kind: folder / f"{task.name}{suffix}" for kind, suffix in names.items()}


def _stands(task: Task, folder: Path, settings: Settings, also: Sequence[str]) -> bool:
    outputs = _outputs(folder, task, settings)
    if not outputs["json"].is_file():
        return False
    try:
        document = read_json(outputs["json"])
        recorded = document["settings"]
    except (TransformError, KeyError, TypeError):
        return False
    clashes = [
        f"was made with {key} {recorded.get(key, getattr(Settings, key, None))!r}, not {getattr(settings, key)!r}"
        for key in ("model", "space", "direction", "precision")
        if recorded.get(key, getattr(Settings, key, None)) != getattr(settings, key)
    ]
    if Path(document["input"]).resolve() != task.path.resolve():
        clashes.append(f"is the result of another scan, {document['input']}")
    if document.get("frame") != task.frame:
        clashes.append(f"is the result of frame {document.get('frame')}, not {task.frame}")
    if clashes:
        raise OutputError(
            f"{outputs['json']}: {clashes[0]}; choose another output folder, or replace it with --overwrite"
        )
    resliced_as_asked = settings.reslice_spacing in (None, recorded.get("reslice_spacing"))
    needed = [*outputs.values(), *(folder / f"{task.name}{ending}" for ending in also)]
    return resliced_as_asked and all(path.is_file() for path in needed)


def write_results(
    folder: Path, task: Task, volume: Volume, estimate: PoseEstimate, settings: Settings
) -> dict[str, Path]:
    """Write everything about one scan, the JSON last, so that where it stands all does; returns the files by kind.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    outputs = _outputs(folder, task, settings)
    outputs["json"].unlink(missing_ok=True)
    matrix = settings.matrix(volume, estimate)
    write_npy(outputs["npy"], matrix)
    inward = settings.direction == DIRECTIONS[1]
    write_itk(outputs["tfm"], estimate.ras_to_canonical if inward else estimate.canonical_to_ras)
    if "mask" in outputs:
        write_volume(outputs["mask"], Volume(estimate.mask, volume.voxel_to_ras, name=f"mask of {volume.name}"))
    if "resliced" in outputs:
        write_volume(outputs["resliced"], reslice(volume, estimate.canonical_to_ras, settings.reslice_spacing))
    write_json(
        outputs["json"],
        {
            "format": FORMAT,
            "name": task.name,
            "input": str(task.path.resolve()),
            "frame": task.frame,
            "settings": asdict(settings),
            "matrix": matrix,
            "canonical_to_ras": estimate.canonical_to_ras,
            "ras_to_canonical": estimate.ras_to_canonical,
            "canonical_to_voxel": np.linalg.inv(volume.voxel_to_ras) @ estimate.canonical_to_ras,
            "confidence": estimate.confidence.as_dict(),
            "eyes": eyes_in_numbers(estimate),
            "warnings": list(estimate.warnings),
            "timings_seconds": estimate.timings,
            "device": estimate.device,
            "precision": estimate.precision,
        },
    )
    return outputs


def write_table(folder: str | os.PathLike) -> None:
    """Write ``poses.csv`` from the JSON results in a folder, by name.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    folder = Path(folder)
    rows = []
    # Not hidden ones: those are still being written.
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            document = read_json(path)
        except TransformError:
            continue
        if isinstance(document, dict) and document.get("format") == FORMAT:
            rows.append(document)
    if not rows:
        return
    elements = [f"m{row}{column}" for row in range(4) for column in range(4)]
    with whole_file(folder / CSV_NAME) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ["frame_id", *elements, "space", "direction", "confidence", "score", "brain_volume_ml", "warnings"]
        )
        for row in rows:
            confidence, settings = row["confidence"], row["settings"]
            writer.writerow(
                [
                    row["name"],
                    *np.ravel(row["matrix"]).tolist(),
                    settings["space"],
                    settings["direction"],
                    confidence["level"],
                    f"{confidence['score']:.4f}",
                    f"{confidence['brain_volume_ml']:.1f}",
                    "; ".join(row["warnings"]),
                ]
            )
