"""Scans as training reads them: on one grid, checked before anything is trained, augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from monai.transforms import Compose
from torch.utils.data import Dataset, DistributedSampler

from E3PoseLib.errors import DatasetError, E3PoseError
from E3PoseLib.imaging.brain_only import flatten_background, is_brain_only, with_surroundings
from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.resampling import nearest_on_grid, resample_isotropic
from E3PoseLib.imaging.volume import Volume, read_volume

from ..augmentation.grid import OBJECT_LABEL
from ..augmentation.sample import Sample
from .annotations import axes_from_pose, pose_rotation_from_axes
from .folders import Case, check_same_grid, listing


class ScanDataset(Dataset):
    """Scans on an isotropic grid, intensities in [0, 1], kept in memory as long as a budget lasts.

    Every file is read once on construction (`check`), so that a bad one is named before an epoch is spent.

    Parameters
    ----------
    cases : Iterable[Case]
        At least one.
    spacing : float
        Edge of the isotropic voxel, mm.
    n_classes : int
        Labels must be below this.
    memory_gb : float
        Scans are kept in memory up to this much; the others are read again whenever needed.
    threads : int
        Readers at work at a time.

    Raises
    ------
    DatasetError
        Lists every file that cannot be used, with the reason.
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
            raise DatasetError(listing("The data set cannot be used", problems))


class PreparedScans(Dataset):
    """Scans as a network sees them; of those that train every epoch shows another version.

    All of it is done where they are read, on the CPU: by ``--num_workers`` processes side by side while the network
    learns, and the same for any device, number of processes, order, batch and restart.

    Parameters
    ----------
    scans : ScanDataset
        What is read.
    preparation : Callable[[Sample], Sample]
        The deterministic way to the network's input.
    augmentation : Compose | None
        What comes before it in training.
    seed : int
        Decides, with epoch and scan, every random number.
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

    Skull-stripped brains get surroundings, as at inference.

    Parameters
    ----------
    case : Case
        The scan.
    spacing : float
        Edge of the isotropic voxel, mm.
    n_classes : int
        Labels must be below this.

    Raises
    ------
    VolumeError
        Image or label is unreadable or refused.
    DatasetError
        Label and image differ in grid, the label is no segmentation or lacks the object.
    """
    image, label = read_volume(case.image), read_volume(case.label)
    _check_label(case, image, label, n_classes)
    axes = None
    if case.axes is not None:
        rotation = pose_rotation_from_axes(case.axes, image.voxel_to_ras)
        axes = torch.from_numpy(axes_from_pose(rotation, image.closest_canonical().voxel_to_ras))
    image, label = image.closest_canonical(), label.closest_canonical()
    intensities = image.intensities()
    flatten_background(intensities, image.voxel_ml)
    array, grid_to_ras = resample_isotropic(rescale(intensities), image.voxel_to_ras, spacing)
    if is_brain_only(intensities, image.voxel_ml):
        array, grid_to_ras, _ = with_surroundings(array, grid_to_ras, spacing)
    mask = nearest_on_grid(label.array.astype(np.uint8), label.voxel_to_ras, array.shape, grid_to_ras)
    if not (mask == OBJECT_LABEL).any():
        raise DatasetError(f"{case.label}: the object is smaller than a voxel of {spacing:g} mm.")
    return Sample(torch.from_numpy(array)[None], torch.from_numpy(mask)[None], axes, spacing)


def _check_label(case: Case, image: Volume, label: Volume, n_classes: int) -> None:
    check_same_grid(image, label)
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
