"""The rotation network's views of a head: what each shows, the axes that it sees there, and one rotation from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from ..imaging.rotations import geodesic_angle, orthonormalise, random_rotations
from ..models.model import Model
from ..networks.equivariant.network import pool_axes
from ..networks.inference import Inference
from .crop import crop_around, crop_views
from .head import Head, SeenAxes
from .trust.evidence import axis_concentration

PLACES_WEIGHT = 4.0
"""Of the rotation by the places of the brain's voxels, in its mean with that by the axes; see docs/making.md."""

SAME_ANSWER_DEGREES = 30.0
"""Views whose rotations differ by less than this have seen the same pose."""


class HeadViews:
    """Runs the rotation networks of a model on views of heads: brains without skull may have one of their own.

    Parameters
    ----------
    model : Model
    infer : Inference
    most : int, optional
        Views of a head; as many as the model's where that is fewer, or not given.
    """

    def __init__(self, model: Model, infer: Inference, most: int | None = None) -> None:
        self._header = model.header
        self._network = model.rotation_network
        self._of_brain_only = model.brain_only_network or model.rotation_network
        self._infer = infer
        n_all = max(model.header.views, 1)
        self._view_to_scan = view_rotations(n_all)[:most]
        self._as_of_all = as_of_more_views(len(self._view_to_scan), n_all)

    def crop(self, head: Head) -> list[np.ndarray]:
        """The network's inputs: the head at a fixed size, seen from each side; float32 in [0, 1]."""
        header = self._header
        crop = (header.rotation_edge, header.object_fraction)
        if header.views:
            array, device = head.scan.array, self._infer.device
            return list(crop_views(head.brain, array, *crop, self._view_to_scan, header.clip_fraction, device))
        least_edge = 2**self._network.n_levels
        scan = head.scan
        return [crop_around(head.brain, scan.array, scan.field_of_view, *crop, least_edge, header.clip_fraction)]

    def rotate(self, heads: Sequence[Head], views: Sequence[Sequence[np.ndarray]]) -> list[Head]:
        """Heads with the axes that the network sees.

        Parameters
        ----------
        heads : sequence of Head
        views : sequence of sequence of np.ndarray
            Of each head, what `crop` gives.

        Returns
        -------
        list of Head
        """
        seen = list(heads)
        for network, has_skull in ((self._network, True), (self._of_brain_only, False)):
            those = [index for index, head in enumerate(heads) if head.has_skull == has_skull]
            if those:
                fields = iter(self._infer(network.axes_field, [view for index in those for view in views[index]]))
            for index in those:
                seen[index] = replace(heads[index], axes=self._combine(list(islice(fields, len(views[index])))))
        return seen

    def _combine(self, fields: list[torch.Tensor]) -> SeenAxes:
        """One set of axes from the fields ``[9, d, h, w]`` of each view."""
        raw = torch.stack([pool_axes(field[None])[0] for field in fields]).reshape(-1, 3, 3).cpu().double().numpy()
        x, y, z = np.mean([axis_concentration(field.cpu()) for field in fields], axis=0).tolist()
        axes, disagreement = combine_views(raw, self._view_to_scan)
        return SeenAxes(axes, disagreement * self._as_of_all, (x, y, z))


def view_rotations(n_views: int) -> np.ndarray:
    """The orientations of the views: the scan's own axes, and fixed random ones.

    Parameters
    ----------
    n_views : int
        At least 1.

    Returns
    -------
    np.ndarray
        Shape ``[n_views, 3, 3]``, proper, float64: a vector v of a view is R·v in the scan's axes.
    """
    more = random_rotations(n_views - 1, torch.Generator().manual_seed(0), torch.float64).numpy()
    return np.concatenate([np.eye(3)[None], more])


def combine_views(axes: np.ndarray, view_to_scan: np.ndarray) -> tuple[np.ndarray, float]:
    """One set of axes from those seen in several views, and how far the views disagree.

    A single view may be wrong by half a turn, and a mean of wrong and right ones is neither. So only those views count
    that lie within `SAME_ANSWER_DEGREES` of the most central view.

    Parameters
    ----------
    axes : np.ndarray
        Shape ``[V, 3, 3]``: rows x, y, z in each view's own axes, any length; the sign of x is free.
    view_to_scan : np.ndarray
        Shape ``[V, 3, 3]``, proper.

    Returns
    -------
    axes : np.ndarray
        Shape ``[3, 3]``: the means of the unit axes, in the scan's axes.
    disagreement : float
        Mean angle in degrees between the rotation of each view, those left out included, and that of the answer.
    """
    axes = axes / np.linalg.norm(axes, axis=2, keepdims=True)
    axes[:, 0] *= np.where(np.linalg.det(axes) < 0, -1, 1)[:, None]
    axes = axes @ view_to_scan.transpose(0, 2, 1)
    rotations = orthonormalise(torch.from_numpy(axes))
    apart = geodesic_angle(rotations[:, None], rotations[None]).numpy()
    central = np.minimum(apart, SAME_ANSWER_DEGREES).mean(axis=1).argmin()
    mean = axes[apart[central] <= SAME_ANSWER_DEGREES].mean(axis=0)
    return mean, float(geodesic_angle(rotations, orthonormalise(torch.from_numpy(mean))).mean())


def average_with_places(by_axes: np.ndarray, by_places: np.ndarray) -> np.ndarray:
    """The head's rotation by its axes and by the places of its brain's voxels together.

    Parameters
    ----------
    by_axes, by_places : np.ndarray
        Shape ``[3, 3]``, proper: as columns the head's axes.

    Returns
    -------
    np.ndarray
        Shape ``[3, 3]``: the mean by chordal distance that weighs the places `PLACES_WEIGHT` times.
    """
    return orthonormalise(torch.from_numpy(by_axes + PLACES_WEIGHT * by_places)).numpy()


def as_of_more_views(n_seen: int, n_all: int) -> float:
    """How much more all views would disagree than some of them do.

    Of n views with independent errors each lies nearer to their mean than to the truth, by the root of 1 - 1/n. The
    calibration knows the disagreement of all views.

    Parameters
    ----------
    n_seen, n_all : int

    Returns
    -------
    float
        By which a disagreement is multiplied; 1 for a single view, which disagrees with none.
    """
    return math.sqrt((1 - 1 / n_all) / (1 - 1 / n_seen)) if n_seen > 1 else 1.0


def assemble_rotation(axes: np.ndarray) -> np.ndarray:
    """The head's rotation from its three raw axes.

    The pseudovector's sign is free, so it takes the one that makes the frame right-handed; then the nearest rotation.

    Parameters
    ----------
    axes : np.ndarray
        Shape ``[3, 3]``: rows x, y, z in RAS, any length.

    Returns
    -------
    np.ndarray
        Shape ``[3, 3]``, determinant +1; columns are the head's right, anterior and superior axes.
    """
    columns = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).T
    if np.linalg.det(columns) < 0:
        columns[:, 0] *= -1
    return orthonormalise(torch.from_numpy(columns)).numpy()
