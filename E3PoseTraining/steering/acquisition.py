"""A stack of slices through a moving head: which part of the brain no slice sees, and how oblique slices are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from E3PoseLib.imaging.geometry import invert_rigid, transform_points


@dataclass(frozen=True)
class Protocol:
    """How a stack is acquired. The defaults are those of E(3)-Pose's experiment; `margin` is an assumption.

    Parameters
    ----------
    thickness : float
        Of a slice, mm; slices touch.
    field_of_view : float
        Edge of a slice, mm.
    interleave : int
        Passes in which the slices are taken, see `interleaved`.
    navigator_spacing : float
        Edge of a navigator's voxels, mm.
    delay : float
        From a navigator to its slice, seconds.
    repetition : float
        From a navigator to the next, seconds.
    margin : float
        Of the stack around the brain as it is at the start, mm.
    """

    thickness: float = 3.0
    field_of_view: float = 256.0
    interleave: int = 4
    navigator_spacing: float = 6.0
    delay: float = 1.0
    repetition: float = 2.5
    margin: float = 6.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a stack shows.

    Parameters
    ----------
    counts : np.ndarray
        Shape ``[P]``: in how many slices each point of the brain lies.
    obliqueness : np.ndarray
        Shape ``[S]``, degrees: between each slice and the head's plane at the time of the slice.
    """

    counts: np.ndarray
    obliqueness: np.ndarray

    @property
    def gap(self) -> float:
        """Part of the brain that no slice sampled."""
        return float(np.mean(self.counts == 0))

    @property
    def mean_obliqueness(self) -> float:
        """Over the slices, degrees."""
        return float(self.obliqueness.mean())


def slice_offsets(brain: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Heights of the slices above the head's centre, mm, ``[S]``, so that they cover the brain and a margin.

    Parameters
    ----------
    brain : np.ndarray
        Shape ``[P, 3]``, points of the brain in the head's frame, mm.
    protocol : Protocol
    """
    low, high = brain[:, 2].min() - protocol.margin, brain[:, 2].max() + protocol.margin
    n_slices = int(np.ceil((high - low) / protocol.thickness))
    return (low + high) / 2 + (np.arange(n_slices) - (n_slices - 1) / 2) * protocol.thickness


def interleaved(n_slices: int, interleave: int) -> np.ndarray:
    """The order in which slices are taken.

    >>> interleaved(6, 4).tolist()
    [0, 4, 1, 5, 2, 3]
    """
    return np.concatenate([np.arange(first, n_slices, interleave) for first in range(interleave)])


def acquire(
    brain: np.ndarray, offsets: np.ndarray, steered_by: np.ndarray, truth: np.ndarray, protocol: Protocol
) -> Outcome:
    """Acquire axial slices, each where the head is believed to be.

    Parameters
    ----------
    brain : np.ndarray
        Shape ``[P, 3]``, points of the brain in the head's frame, mm.
    offsets : np.ndarray
        Shape ``[S]``, see `slice_offsets`, in the order of acquisition.
    steered_by, truth : np.ndarray
        Shape ``[S, 4, 4]``, ``canonical_to_ras``: the pose that each slice is placed by, and the head's when it is
        taken.
    protocol : Protocol
    """
    counts = np.zeros(len(brain), int)
    obliqueness = np.empty(len(offsets))
    half = protocol.field_of_view / 2
    for index, (offset, placed, head) in enumerate(zip(offsets, steered_by, truth, strict=True)):
        seen = transform_points(invert_rigid(placed) @ head, brain)
        within = (np.abs(seen[:, :2]) <= half).all(axis=1)
        counts += within & (np.abs(seen[:, 2] - offset) <= protocol.thickness / 2)
        cosine = abs(placed[:3, 2] @ head[:3, 2])
        obliqueness[index] = np.degrees(np.arccos(min(1.0, cosine)))
    return Outcome(counts, obliqueness)
