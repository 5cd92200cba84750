"""The settings that this project's training writes beside a network's weights; nothing here imports PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelError
from .catalog import ModelHeader
from .limits import problem_of_header

_ROTATION = ("spacing_mm", "rotation_edge", "object_fraction", "views", "clip_fraction")

SETTINGS = {
    "segmentation": ("spacing_mm", "segmentation_edge", "thresholds", "object_label", "clip_fraction", "candidates"),
    "rotation": _ROTATION,
    "eyes": ("spacing_mm", "eyes_edge", "clip_fraction"),
    "upright": ("spacing_mm", "upright_edge", "clip_fraction"),
    "brain_only": _ROTATION,
}
"""Of each network of a model: the fields of a `ModelHeader` that it is trained with."""

OF_OFFICIAL = {part: {name: getattr(ModelHeader, name) for name in names} for part, names in SETTINGS.items()}
"""The same as the official program has them, which stand for a file that tells no settings."""


def check_settings(path: str | os.PathLike, part: str | None, settings: Any) -> dict[str, Any]:
    """Settings beside the weights of one network, as fields of a `ModelHeader`.

    Parameters
    ----------
    path : path-like
        The file they are from.
    part : str or None
        A key of `SETTINGS`; None: any network's.
    settings : object
        What the file holds; the file may be a stranger's.

    Raises
    ------
    ModelError
        If they are no settings, another network's, or ask for what cannot be.
    """
    if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
        raise ModelError(f"{path}: the settings of its training are damaged; copy it again")
    known = SETTINGS[part] if part else {name for names in SETTINGS.values() for name in names}
    if not set(settings) <= set(known):
        raise ModelError(f"{path}: a network trained for another part of a model, with {', '.join(settings):.300}")
    problem = problem_of_header(settings)
    if problem:
        raise ModelError(f"{path}: the settings of its training cannot be: {problem}")
    return {name: tuple(value) if name == "thresholds" else value for name, value in settings.items()}


def joined_settings(
    settings: Mapping[str, Mapping[str, Any]], sources: Sequence[str], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The settings of one model, from those of its networks, which must agree where several have one.

    Parameters
    ----------
    settings : mapping of str to mapping
        Of each network, by its key of `SETTINGS`; fields may be missing. Without any, as in official files, a network
        was trained as the official program has it.
    sources : sequence of str
        What each is called in a message.
    names : mapping, optional
        What fields are called in a message, where not by their own name.

    Raises
    ------
    ModelError
        If they disagree.
    """
    for field in dict.fromkeys(name for one in settings.values() for name in one):
        having = {}
        for source, (part, one) in zip(sources, settings.items(), strict=True):
            if field in one:
                having[source] = one[field]
            elif not one and field in OF_OFFICIAL[part]:
                having[f"{source} (which has no settings, so the official program's)"] = OF_OFFICIAL[part][field]
        if len(set(having.values())) > 1:
            name = (names or {}).get(field, field)
            told = ", ".join(f"{source} {value}" for source, value in having.items())
            raise ModelError(f"the networks were trained with different {name}: {told}; one is needed.")
    return {name: value for one in settings.values() for name, value in one.items()}
