"""A head on its way through the steps of the method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .prepared import PreparedScan


@dataclass(frozen=True, eq=False)
class EyeMap:
    """Where a network sees eyes.

    Parameters
    ----------
    probability : np.ndarray
        Shape ``[E, E, E]``: of each voxel of a cube around the head, to belong to an eye.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, of that cube, mm.
    """

    probability: np.ndarray
    voxel_to_ras: np.ndarray


@dataclass(frozen=True, eq=False)
class SeenAxes:
    """The head's axes as the rotation network sees them.

    Parameters
    ----------
    axes : np.ndarray
        Shape ``[3, 3]``: rows x, y, z in the axes of the model's grid, any length; the sign of x is free.
    disagreement_degrees : float
        Between the views, see `views.combine_views`.
    concentration : tuple of float
        Of x, y, z, see `confidence.axis_concentration`.
    """

    axes: np.ndarray
    disagreement_degrees: float
    concentration: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Head:
    """A head in a scan. Each step of the method gives a new one, of which more is known.

    Parameters
    ----------
    scan : PreparedScan
    brain : np.ndarray
        Bool, shape of the model's grid: the brain mask.
    brain_agreement : float or None
        Dice overlap of the brain masks by the segmentation network and the close-up network; None before the
        close-up, or where the model has none.
    upright_agreement : float or None
        Dice overlap of that brain mask and the one by the upright network; None before that, without one, and of a
        brain without skull.
    eye_map : EyeMap or None
        None where no network has looked for eyes.
    axes : SeenAxes or None
        None before the rotation network has run.
    turned : np.ndarray or None
        Shape ``[3, 3]``, proper: the rotation that the upright network tells, as columns the head's axes in those of
        the model's grid; None before that, or where it tells none.
    """

    scan: PreparedScan
    brain: np.ndarray
    brain_agreement: float | None = None
    upright_agreement: float | None = None
    eye_map: EyeMap | None = None
    axes: SeenAxes | None = None
    turned: np.ndarray | None = None

    @property
    def has_skull(self) -> bool:
        """Whether there is more to see than a skull-stripped brain, whose mask is known and which has no eyes."""
        return self.scan.brain is None

    @property
    def wants_close_up(self) -> bool:
        """Whether the close-up network has more to tell: it has not seen the head yet, and there is a skull."""
        return self.has_skull and self.brain_agreement is None
