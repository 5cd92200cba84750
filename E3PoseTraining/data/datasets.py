"""Folders of scans with labels and annotations: found, checked before anything is trained, and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose
from torch.utils.data import Dataset, DistributedSampler

from E3PoseLib.errors import DatasetError, E3PoseError
from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.resampling import nearest_on_grid, resample_isotropic
from E3PoseLib.imaging.volume import Volume, read_volume

from ..augmentation.sample import Sample
from .annotations import axes_from_pose, pose_rotation_from_axes, read_rotations, read_table

OBJECT_LABEL = 1


@dataclass(frozen=True)
class Case:
    """One scan of a data set.

    Attributes:
        frame_id: file name without its extension.
        image: the scan.
        label: its segmentation, same grid; the object has label 1.
        axes: ``[3, 3]`` rows right, anterior, superior in voxel axes (`annotations`), or None.
        repeats: how often an epoch shows it.
    """

    frame_id: str
    image: Path
    label: Path
    axes: np.ndarray | None = None
    repeats: int = 1


def volumes_by_id(folder: Path) -> dict[str, Path]:
    """The .nii and .nii.gz files of a folder by file name without extension.

    Raises:
        DatasetError: no such folder, no such file in it, or two files of one name.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder that holds the .nii or .nii.gz files.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        for extension in (".nii.gz", ".nii"):
            if path.name.endswith(extension) and not path.name.startswith("."):
                frame = path.name.removesuffix(extension)
                if frame in found:
                    raise DatasetError(f"{found[frame]} and {path} are two files of one scan. Remove one.")
                found[frame] = path
                break
    if not found:
        raise DatasetError(f"{folder} holds no .nii or .nii.gz file.")
    return found


def find_cases(image_dir: Path, label_dir: Path, annotations: Path | None = None) -> list[Case]:
    """Pairs images and labels by file name, and with the rows of an annotation CSV where one is given.

    Rows of the CSV without a scan are ignored: one CSV may serve several folders.

    Raises:
        DatasetError: names every unpaired file and every frame without an annotation.
    """
    images, labels = volumes_by_id(image_dir), volumes_by_id(label_dir)
    problems = [f"{images[frame]} has no label of the same name in {label_dir}" for frame in images.keys() - labels]
    problems += [f"{labels[frame]} has no image of the same name in {image_dir}" for frame in labels.keys() - images]
    rotations = read_rotations(annotations) if annotations else {}
    if annotations:
        problems += [f"{images[frame]} has no row in {annotations}" for frame in images.keys() - rotations]
    if problems:
        raise DatasetError(_listing("The files do not pair", sorted(problems)))
    return [Case(frame, images[frame], labels[frame], rotations.get(frame)) for frame in sorted(images)]


def split_by_fold(cases: Sequence[Case], table: Path, validation: str | None) -> tuple[list[Case], list[Case]]:
    """Training and validation cases by the column ``fold`` of a CSV.

    Args:
        cases: of one folder.
        table: CSV with columns frame_id and fold, and repeats, where an epoch shall show some scans more than once.
        validation: the fold that validates; the others train, except one called ``test``. None: the folds are
            called ``train`` and ``val``.

    Raises:
        DatasetError: a case without a row or fold, a number of repeats below 1, or a side without a case.
    """
    rows = {row["frame_id"]: row for row in read_table(table, ("fold",))}
    folds = {frame: (row["fold"] or "").strip() for frame, row in rows.items()}
    problems = [f"{case.image} has no fold in {table}" for case in cases if not folds.get(case.frame_id)]
    if problems:
        raise DatasetError(_listing("The folds are incomplete", problems))
    cases = [replace(case, repeats=_repeats(rows[case.frame_id], table)) for case in cases]
    names = sorted({folds[case.frame_id] for case in cases})
    if validation is None and not {"train", "val"} <= set(names):
        raise DatasetError(
            f"The folds of {table} are {', '.join(names)}, not train and val. Say with --val_fold which validates."
        )
    chosen = validation or "val"
    training = [c for c in cases if folds[c.frame_id] not in (chosen, "test")]
    if validation is None:
        training = [c for c in cases if folds[c.frame_id] == "train"]
    validating = [replace(c, repeats=1) for c in cases if folds[c.frame_id] == chosen]
    if not training or not validating:
        raise DatasetError(
            f"The fold {chosen!r} of {table} leaves {len(training)} scans to train and {len(validating)} to validate "
            f"(folds: {', '.join(names)})."
        )
    return training, validating


def _repeats(row: dict[str, str], table: Path) -> int:
    text = (row.get("repeats") or "1").strip()
    if not text.isdigit() or int(text) < 1:
        raise DatasetError(f"{table}: {row['frame_id']} has {text!r} repeats; give a whole number from 1 up.")
    return int(text)


class ScanDataset(Dataset):
    """Scans on an isotropic grid, intensities in [0, 1], kept in memory as long as a budget lasts.

    Every file is read once on construction (`check`), so that a bad one is named before an epoch is spent.

    Args:
        cases: at least one.
        spacing: edge of the isotropic voxel, mm.
        n_classes: labels must be below this.
        memory_gb: scans are kept in memory up to this much; the others are read again whenever needed.
        threads: readers at work at a time.

    Raises:
        DatasetError: lists every file that cannot be used, with the reason.
    """

    def __init__(
        self, cases: Iterable[Case], spacing: float, n_classes: int, memory_gb: float = 4, threads: int = 2
    ) -> None:
        self.cases = list(cases)
        self.spacing = spacing
        self.n_classes = n_classes
        self._order = [index for index, case in enumerate(self.cases) for _ in range(case.repeats)]
        self._kept: dict[int, Sample] = {}
        self._check(memory_gb * 2**30, threads)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Sample:
        number = self._order[index]
        return self._kept.get(number) or load_sample(self.cases[number], self.spacing, self.n_classes)

    def _check(self, budget: float, threads: int) -> None:
        problems = []

        def attempt(index: int) -> Sample | E3PoseError:
            try:
                return load_sample(self.cases[index], self.spacing, self.n_classes)
            except E3PoseError as error:
                return error

        with ThreadPoolExecutor(threads) as pool:
            for index, result in enumerate(pool.map(attempt, range(len(self.cases)))):
                if isinstance(result, E3PoseError):
                    problems.append(str(result))
                    continue
                budget -= result.image.nbytes + result.label.nbytes
                if budget > 0:
                    self._kept[index] = result
        if problems:
            raise DatasetError(_listing("The data set cannot be used", problems))


class PreparedScans(Dataset):
    """Scans as a network sees them; of those that train every epoch shows another version.

    All of it is done where they are read, on the CPU: by ``--num_workers`` processes side by side while the network
    learns, and the same for any device, number of processes, order, batch and restart.

    Args:
        scans: what is read.
        preparation: the deterministic way to the network's input.
        augmentation: what comes before it in training.
        seed: decides, with epoch and scan, every random number.
    """

    def __init__(
        self,
        scans: ScanDataset,
        preparation: Callable[[Sample], Sample],
        augmentation: Compose | None = None,
        seed: int = 0,
    ) -> None:
        self.scans = scans
        self.preparation = preparation
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, item: tuple[int, int]) -> Sample:
        """The scan of an (epoch, index)."""
        epoch, index = item
        sample = self.scans[index]
        if self.augmentation is not None:
            key = np.random.SeedSequence([self.seed, epoch, index])
            self.augmentation.set_random_state(seed=int(key.generate_state(1)[0]))
            sample = self.augmentation(sample)
        return self.preparation(sample)


class EpochSampler(DistributedSampler):
    """Says which (epoch, index) of `PreparedScans` come next."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())


def load_sample(case: Case, spacing: float, n_classes: int) -> Sample:
    """Reads a scan with its label as inference sees it: axes closest to RAS, isotropic, intensities in [0, 1].

    Args:
        case: the scan.
        spacing: edge of the isotropic voxel, mm.
        n_classes: labels must be below this.

    Raises:
        VolumeError: image or label is unreadable or refused.
        DatasetError: label and image differ in grid, the label is no segmentation or lacks the object.
    """
    image, label = read_volume(case.image), read_volume(case.label)
    _check_label(case, image, label, n_classes)
    axes = None
    if case.axes is not None:
        rotation = pose_rotation_from_axes(case.axes, image.voxel_to_ras)
        axes = torch.from_numpy(axes_from_pose(rotation, image.closest_canonical().voxel_to_ras))
    image, label = image.closest_canonical(), label.closest_canonical()
    array, grid_to_ras = resample_isotropic(rescale(image.intensities()), image.voxel_to_ras, spacing)
    mask = nearest_on_grid(label.array.astype(np.uint8), label.voxel_to_ras, array.shape, grid_to_ras)
    if not (mask == OBJECT_LABEL).any():
        raise DatasetError(f"{case.label}: the object is smaller than a voxel of {spacing:g} mm.")
    return Sample(torch.from_numpy(array)[None], torch.from_numpy(mask)[None], axes, spacing)


def _check_label(case: Case, image: Volume, label: Volume, n_classes: int) -> None:
    if image.shape != label.shape:
        raise DatasetError(f"{case.label} has shape {label.shape}, but its image {case.image} has {image.shape}.")
    corner = np.array([*image.shape, 1.0])
    if np.abs((image.voxel_to_ras - label.voxel_to_ras) * corner).sum(axis=1).max() > image.spacing.max() / 2:
        raise DatasetError(f"{case.label} lies elsewhere in the patient than its image {case.image}: headers differ.")
    image.intensities()
    values = np.unique(label.array)
    if not np.isin(values, np.arange(n_classes)).all():
        raise DatasetError(
            f"{case.label} holds the values {_shortened(values)}; whole numbers from 0 to {n_classes - 1} are "
            "needed (--n_output_channels)."
        )
    if OBJECT_LABEL not in values:
        raise DatasetError(f"{case.label} has no voxel of the object (label {OBJECT_LABEL}).")


def _shortened(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values[:5]) + (", …" if len(values) > 5 else "")


def _listing(title: str, problems: list[str], limit: int = 10) -> str:
    """A message of one problem, or of the first `limit` with the number of the rest."""
    if len(problems) == 1:
        return problems[0]
    rest = [f"… and {len(problems) - limit} more"] if len(problems) > limit else []
    return "\n  ".join([f"{title}, {len(problems)} problems:", *problems[:limit], *rest])
