"""Limits of what a model file may ask for, checked before a network is built; nothing here imports PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from .calibration import problem_of_calibration

WHOLE, REAL = (int,), (int, float)

_UNET: dict[str, tuple[tuple[type, ...], float, float]] = {
    "n_levels": (WHOLE, 1, 7),
    "n_features": (WHOLE, 1, 128),
    "feature_multiplier": (WHOLE, 1, 4),
    "n_classes": (WHOLE, 1, 64),
    "n_input_channels": (WHOLE, 1, 8),
    "input_stride": (WHOLE, 1, 4),
}
_E3CNN: dict[str, tuple[tuple[type, ...], float, float]] = {
    "n_levels": (WHOLE, 0, 6),
    "kernel_size": (WHOLE, 3, 9),
    "n_radial": (WHOLE, 2, 16),  # they lie at even distances
    "lmax": (WHOLE, 1, 6),  # scalars alone have no axes
}
_UNET_NAMES = {*_UNET, "activation"}
_SWITCHES = ("smooth_pooling", "signed_odd_scalars")
_E3CNN_NAMES = {*_E3CNN, "multiplicity", "n_convolutions", *_SWITCHES}
_HEADER: dict[str, tuple[tuple[type, ...], float, float]] = {
    "spacing_mm": (REAL, 1, 20),
    "rotation_edge": (WHOLE, 2, 128),
    "object_fraction": (REAL, 0.05, 1),
    "views": (WHOLE, 0, 64),
    "clip_fraction": (REAL, 0, 0.49),
    "candidates": (WHOLE, 1, 20),
    "object_label": (WHOLE, 1, 63),
    "eyes_edge": (WHOLE, 8, 128),
    "upright_edge": (WHOLE, 8, 128),
}
_LARGEST_WIDTH = 1024
"""Features of a U-Net's deepest level."""

_LARGEST_MULTIPLICITY = 64
_MOST_CONVOLUTIONS = 8
_WEIGHTS_BY_LMAX = {1: 128, 2: 168, 3: 178, 4: 180, 5: 180, 6: 180}
"""Of a convolution from features of multiplicity 1 to such features and their gates, for each radial function: one for
each pair of irreps and each harmonic up to lmax that couples them; irreps of order 2 are coupled by none beyond 4."""

_MOST_SEEN = 64 * 64**3
"""Voxels of all views of a head, which a rotation network sees at once. At the most, 8 views of 128 voxels an edge, the
bundled networks took 200 s for a scan on one core, and 8 GB."""

_WEIGHTS_TO_SPARE = 100_000
_SEGMENTATION_EDGE = (8, 256)
_LONGEST_TEXT = 20_000
_TEXTS = ("name", "description", "training_data", "licence", "citation")


def problem_of_unet(arguments: Any, n_weights: int | None = None) -> str:
    """What is wrong with the arguments of a `UNet`, of which there are so many weights; "" if nothing."""
    if not isinstance(arguments, Mapping):
        return "the U-Net's arguments are no dict"
    problem = _unknown(arguments, _UNET_NAMES) or _out_of_range(arguments, _UNET)
    if problem:
        return problem
    if not isinstance(arguments.get("activation", ""), str):
        return f"activation {arguments['activation']!r:.60} is no name"
    # By the defaults of the class where the header leaves them out.
    n_features, multiplier = arguments.get("n_features", 16), arguments.get("feature_multiplier", 2)
    deepest = n_features * multiplier ** (arguments.get("n_levels", 4) - 1)
    if deepest > _LARGEST_WIDTH:
        return f"{deepest} features at the deepest level, at most {_LARGEST_WIDTH}"
    return _too_many(27 * deepest**2, n_weights)


def problem_of_e3cnn(arguments: Any, n_weights: int | None = None) -> str:
    """What is wrong with the arguments of an `E3CNN`, of which there are so many weights; "" if nothing."""
    if not isinstance(arguments, Mapping):
        return "the E(3)-CNN's arguments are no dict"
    problem = _unknown(arguments, _E3CNN_NAMES) or _out_of_range(arguments, _E3CNN)
    if problem:
        return problem
    if arguments.get("kernel_size", 3) % 2 == 0:
        return f"kernel_size {arguments['kernel_size']} is even"
    for name in _SWITCHES:
        if not isinstance(arguments.get(name, False), bool):
            return f"{name} {arguments[name]!r:.60} is neither true nor false"
    n_blocks, by_block = arguments.get("n_levels", 4) + 1, {}
    for name, default, growth, largest in (
        ("multiplicity", 2, 2, _LARGEST_MULTIPLICITY),
        ("n_convolutions", 2, 1, _MOST_CONVOLUTIONS),
    ):
        given = arguments.get(name, default)
        each = [given * growth**level for level in range(n_blocks)] if _is(given, WHOLE) else given
        if not isinstance(each, Sequence) or not all(_is(n, WHOLE) and 1 <= n <= largest for n in each):
            return f"{name} {given!r:.60} is out of range, at most {largest} in any block"
        if len(each) != n_blocks:
            return f"{name} has {len(each)} numbers for {n_blocks} blocks"
        by_block[name] = each
    pairs, before = 0, 0
    for m, n in zip(by_block["multiplicity"], by_block["n_convolutions"], strict=True):
        # The first convolution of a block is from the multiplicity before it; that of the first one is left out.
        pairs, before = pairs + before * m + (n - 1) * m**2, m
    least = _WEIGHTS_BY_LMAX[arguments.get("lmax", 4)] * arguments.get("n_radial", 5) * pairs
    return _too_many(least, n_weights)


def problem_of_header(document: Mapping[str, Any]) -> str:
    """What is wrong with the fields of a `ModelHeader`; "" if nothing."""
    problem = _out_of_range(document, _HEADER)
    if problem:
        return problem
    # By the defaults of the header where the document leaves them out.
    views, rotation_edge = max(document.get("views", 0), 1), document.get("rotation_edge", 64)
    if views * rotation_edge**3 > _MOST_SEEN:
        return f"{views} views of {rotation_edge} voxels an edge are too many: at most {_MOST_SEEN} voxels in all"
    for name in _TEXTS:
        text = document.get(name, "")
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            return f"{name} is no text of at most {_LONGEST_TEXT} characters"
    edge = document.get("segmentation_edge")
    low, high = _SEGMENTATION_EDGE
    if edge is not None and not (_is(edge, WHOLE) and low <= edge <= high):
        return f"segmentation_edge {edge!r:.60} is out of range, {low} to {high} or null"
    thresholds = document.get("thresholds", ())
    if not isinstance(thresholds, Sequence) or not all(_is(one, REAL) and -1 <= one <= 1 for one in thresholds):
        return f"thresholds {thresholds!r:.60} are no numbers from -1 to 1"
    for name in ("segmentation", "eyes", "upright"):
        arguments = document.get(name, {})
        problem = problem_of_unet(arguments)
        if problem:
            return f"{name}: {problem}"
    for name in ("rotation", "brain_only"):
        problem = problem_of_e3cnn(document.get(name, {}))
        if problem:
            return f"{name}: {problem}"
    if not isinstance(document.get("second_opinion", False), bool):
        return f"second_opinion {document['second_opinion']!r:.60} is neither true nor false"
    return problem_of_calibration(document.get("calibration", {}))


def _unknown(arguments: Mapping[str, Any], names: Set[str]) -> str:
    unknown = [f"{name!r:.60}" for name in arguments if name not in names]
    return f"{', '.join(unknown[:3])}: no such argument" if unknown else ""


def _out_of_range(values: Mapping[str, Any], limits: Mapping[str, tuple[tuple[type, ...], float, float]]) -> str:
    for name, (kinds, low, high) in limits.items():
        if name in values and not (_is(values[name], kinds) and low <= values[name] <= high):
            kind = "whole number" if kinds is WHOLE else "number"
            return f"{name} {values[name]!r:.60} is no {kind} from {low} to {high}"
    return ""


def _too_many(least: int, n_weights: int | None) -> str:
    """A problem where a network has far more weights than there are."""
    if n_weights is None or least <= n_weights + _WEIGHTS_TO_SPARE:
        return ""
    return f"a network of more than {least} weights, where the file has {n_weights}"


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is a number of these types, which a bool is not."""
    return isinstance(value, kinds) and not isinstance(value, bool)
