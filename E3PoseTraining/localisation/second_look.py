"""A U-Net that was trained on upright heads, used on a head that lies anyhow: the brain anew, where a first look is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.masks import largest_components
from E3PoseLib.imaging.sampling import sample_grids
from E3PoseLib.method.crop import upright_cube

from ..regression.weights import read_network
from .networks import LOCALISERS


class SecondLook:
    """Segments the brain in a cube around a first mask, in the scan's own axes.

    Parameters
    ----------
    path : Path
        Weights of one of `LOCALISERS`.
    device : torch.device

    Raises
    ------
    MethodError
        If the file is damaged or holds something else.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        network, header = read_network(path, LOCALISERS, ("cube",))
        self._network = network.to(device)
        self._device = device
        self._edge, self._clip = header["cube"]["edge"], header["cube"]["clip_fraction"]

    @torch.inference_mode()
    def __call__(self, array: np.ndarray, brain: np.ndarray) -> np.ndarray:
        """The mask by what is around a first one; all False where nothing is found there.

        Parameters
        ----------
        array, brain : np.ndarray
            Shape ``[D, H, W]``: intensities on cubic voxels, and the first mask, not empty.

        Returns
        -------
        np.ndarray
            Shape ``[D, H, W]``, bool.
        """
        cube_to_grid = upright_cube(brain, np.eye(3), self._edge)
        cube = sample_grids(array, cube_to_grid[None], (self._edge,) * 3, device=self._device)
        seen = torch.from_numpy(rescale(cube.cpu().numpy(), self._clip)).to(self._device)
        found = self._network(seen[None])[0, 0].sigmoid().cpu().numpy()
        on_grid = sample_grids(found, np.linalg.inv(cube_to_grid)[None], array.shape)[0].numpy() > 0.5
        return next(iter(largest_components(on_grid)), on_grid)
