"""Masks on their way from the worker to its host: of each the box that is not empty, in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from E3PoseLib.errors import WorkerError


def save_mask(mask: np.ndarray, box: tuple[slice, ...], file: Path) -> dict:
    """Save the box of a mask [I, J, K] that is not empty, and return what `load_mask` finds it by, as JSON takes it."""
    np.save(file, mask[box])
    return {"file": str(file), "box": [[edges.start, edges.stop] for edges in box], "shape": mask.shape}


def load_mask(saved: dict) -> np.ndarray:
    """The mask that `save_mask` has saved, uint8 [I, J, K]; its file goes.

    Raises
    ------
    WorkerError
        It cannot be read.
    """
    file = Path(saved["file"])
    mask = np.zeros(saved["shape"], np.uint8, order="F")
    try:
        mask[tuple(slice(*edges) for edges in saved["box"])] = np.load(file)
        file.unlink()
    except (OSError, ValueError) as error:
        raise WorkerError(f"the brain mask cannot be read from {file}: {error}") from error
    return mask
