"""Registration by ANTs (Avants et al., NeuroImage 54(3), 2011), package antspyx: rigid, global correlation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ants
import numpy as np

from E3PoseLib.alignment.stack import PosedStack, grid_to_frame
from E3PoseLib.imaging.geometry import LPS_TO_RAS, direction_cosines, voxel_sizes

from .templates import Template
from .to_template import ToTemplate


class ByANTs(ToTemplate):
    """The moving image is the scan, the fixed one the template."""

    def register(
        self, scan: PosedStack, template: Template, compared: np.ndarray, start: np.ndarray, *, roughly: bool = False
    ) -> np.ndarray:
        levels = slice(1 if roughly else None)
        fixed, mask = (_image(array, grid_to_frame()) for array in (template.sample.values, compared))
        moving = _image(scan.intensities, scan.volume.voxel_to_ras)
        lps = LPS_TO_RAS @ start @ LPS_TO_RAS
        begin = ants.create_ants_transform(
            transform_type="AffineTransform",
            dimension=3,
            matrix=lps[:3, :3],
            translation=lps[:3, 3],
            center=np.zeros(3),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "start.mat")
            ants.write_transform(begin, path)
            found = ants.registration(
                fixed,
                moving,
                type_of_transform="Rigid",
                initial_transform=[path],
                mask=mask,
                aff_metric="GC",
                aff_sampling=32,
                aff_random_sampling_rate=0.25,
                aff_iterations=(40, 20)[levels],
                aff_shrink_factors=(2, 1)[levels],
                aff_smoothing_sigmas=(2, 1)[levels],
                outprefix=str(Path(folder) / "found_"),
                random_seed=1,
            )
            transform = ants.read_transform(found["fwdtransforms"][-1])
            origin, *tips = (np.array(transform.apply_to_point(point)) for point in ([0.0] * 3, *np.eye(3).tolist()))
        end = np.eye(4)
        end[:3, :3], end[:3, 3] = np.column_stack([tip - origin for tip in tips]), origin
        return LPS_TO_RAS @ end @ LPS_TO_RAS


def _image(array: np.ndarray, voxel_to_ras: np.ndarray) -> ants.ANTsImage:
    """An array on its grid as ANTs has it: its world is LPS."""
    lps = LPS_TO_RAS @ voxel_to_ras
    return ants.from_numpy(
        np.ascontiguousarray(array, dtype=np.float32),
        origin=lps[:3, 3].tolist(),
        spacing=voxel_sizes(lps).tolist(),
        direction=direction_cosines(lps),
    )
