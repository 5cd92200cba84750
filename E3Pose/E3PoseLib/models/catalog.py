"""Finding model files and reading their headers; nothing here imports PyTorch."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .limits import problem_of_header

FORMAT_VERSION = 1
HEADER_KEY = "e3pose"
MAXIMUM_HEADER_BYTES = 8_000_000
"""Of the JSON document at the head of a model file; that of the built-in model has 80 kB."""

MAXIMUM_FILE_BYTES = 2**30

OFFICIAL_THRESHOLDS = (0.9, 0.8)
"""Thresholds of the classes background and brain in the official program."""

CARD_FIELDS = ("description", "training_data", "licence", "citation")
"""Fields of the header that form the model card."""

_SUFFIX = ".safetensors"
_LIBRARY = Path(__file__).parents[1]
_PLACES = (_LIBRARY.parent / "Resources", _LIBRARY / "resources")


def thresholds_of(n_classes: int, given: Sequence[float] = OFFICIAL_THRESHOLDS) -> tuple[float, ...]:
    """One threshold for each class: those given, then -1, which is no threshold, for the remaining classes."""
    return (*given, *[-1.0] * n_classes)[:n_classes]


@dataclass(frozen=True)
class ModelHeader:
    """The header of a model file: architectures, input sizes and thresholds, and the model card.

    Parameters
    ----------
    name : str
    segmentation, rotation : dict
        Arguments of `UNet` and `E3CNN`.
    spacing_mm : float
        Voxel size of the input of all networks, mm.
    segmentation_edge : int or None
        Edge of the U-Net's input, a cube, in voxels; None: the input is the whole scan.
    rotation_edge : int
        Longest edge of the input of a rotation network, voxels; this and the next two hold for both.
    object_fraction : float
        Extent of the brain relative to that input.
    views : int
        Number of orientations in which a rotation network sees the crop; its answers are averaged. 0: one view, cut
        to the scan, as in the official program.
    clip_fraction : float
        This fraction of the intensities is clipped at each end before a network sees them, so that a few bright voxels
        (vessels, fat beside the coil) do not set the contrast.
    candidates : int
        Number of components of the brain mask that are tried. Where the pose of the largest is doubtful, poses of the
        next largest are estimated too, and the most certain one is returned. 1: the largest only, as in the official
        program.
    thresholds : tuple of float
        For each class, the probability up to which it counts as 0.
    object_label : int
        Class of the brain.
    eyes : dict
        Arguments of a second `UNet`, which sees the head closer and finds the brain (class 1) and the eyes (class 2);
        empty: there is none, as in the official program.
    eyes_edge : int
        Edge of its input, a cube, in voxels.
    upright : dict
        Arguments of a third `UNet`, which sees the head turned upright and scaled to a fixed size, and finds the eyes
        better than the second; empty: there is none. With six outputs it also tells each voxel's place in the head.
    upright_edge : int
        Edge of its input, a cube, in voxels.
    brain_only : dict
        Arguments of a second `E3CNN`, which reads brains without skull; empty: the first reads them too.
    second_opinion : bool
        Whether there is a second network of each kind but `brain_only`, of the same arguments and own weights, which
        read a scan too where the pose by the first ones is doubtful.
    calibration : dict
        How its answers are judged, `calibration.Calibration.as_dict`; empty: it was never calibrated.
    description, training_data, licence, citation : str
        The model card.
    format_version : int
    """

    name: str
    segmentation: dict = field(default_factory=dict)
    rotation: dict = field(default_factory=dict)
    spacing_mm: float = 3.0
    segmentation_edge: int | None = 128
    rotation_edge: int = 64
    object_fraction: float = 0.6
    views: int = 0
    clip_fraction: float = 0.0
    candidates: int = 1
    thresholds: tuple[float, ...] = (*OFFICIAL_THRESHOLDS, -1.0)
    object_label: int = 1
    eyes: dict = field(default_factory=dict)
    eyes_edge: int = 48
    upright: dict = field(default_factory=dict)
    upright_edge: int = 40
    brain_only: dict = field(default_factory=dict)
    second_opinion: bool = False
    calibration: dict = field(default_factory=dict)
    description: str = ""
    training_data: str = ""
    licence: str = ""
    citation: str = ""
    format_version: int = FORMAT_VERSION


def design(header: ModelHeader) -> dict[str, Any]:
    """The fields in which a model and its second opinion are the same: all but card, calibration and what it lacks."""
    own = ("name", "calibration", "brain_only", "second_opinion", *CARD_FIELDS)
    return {name: value for name, value in vars(header).items() if name not in own}


def parse_header(path: Path, metadata: dict[str, str]) -> ModelHeader:
    """The header in the metadata of a safetensors file.

    Raises
    ------
    ModelError
        If there is none, it is of another format, or damaged.
    """
    if HEADER_KEY not in metadata:
        raise ModelError(f"{path}: holds weights but no E3Pose header; make the file with 'e3pose import-weights'")
    try:
        document = json.loads(metadata[HEADER_KEY])
        version = document["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: the model's header is damaged ({type(error).__name__}: {error})") from error
    if version != FORMAT_VERSION:
        raise ModelError(f"{path}: format {version}; this E3Pose reads format {FORMAT_VERSION}: update one of the two")
    problem = problem_of_header(document)
    if problem:
        raise ModelError(f"{path}: the model's header asks for what cannot be: {problem}")
    try:
        document["thresholds"] = tuple(document["thresholds"])
        return ModelHeader(**document)
    except (KeyError, TypeError) as error:
        known = ", ".join(part.name for part in fields(ModelHeader))
        raise ModelError(f"{path}: the model's header is damaged; its fields are {known}") from error


def resources() -> Path:
    """The folder of the files that come with E3Pose; in Slicer beside the library, in a wheel inside it."""
    return next((place for place in _PLACES if place.is_dir()), _PLACES[0])


def sample_scan() -> Path:
    """The synthetic scan that comes with E3Pose; its true pose is in the same folder."""
    return resources() / "SampleData" / "SyntheticFetalEPI.nii.gz"


def model_folders() -> list[Path]:
    """The folders of named models: those that come with E3Pose, then the user's own.

    The user's folder is the environment variable ``E3POSE_MODELS``, or else ``~/.e3pose/models``.
    """
    folders = [resources() / "Models"]
    if own := os.environ.get("E3POSE_MODELS"):
        folders.append(Path(own))
    else:
        with contextlib.suppress(RuntimeError):  # nobody has a home here, as in some containers
            folders.append(Path.home() / ".e3pose" / "models")
    return folders


def available_models() -> dict[str, Path]:
    """Files of all named models, by name; a user's own model replaces a built-in one of the same name."""
    return {path.stem: path for folder in model_folders() for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def find_model(source: str | os.PathLike) -> Path:
    """The file of a model given by name or path.

    Raises
    ------
    ModelError
        If there is none.
    """
    if Path(source).suffix == _SUFFIX or os.sep in str(source):
        if not Path(source).is_file():
            raise ModelError(f"{source}: no such model file")
        return Path(source)
    models = available_models()
    if str(source) not in models:
        raise ModelError(f"no model named {str(source)!r}; {_known(models)}")
    return models[str(source)]


def _known(models: Iterable[str]) -> str:
    names = ", ".join(models)
    if names:
        return f"there are: {names}"
    return "none is installed: give a .safetensors file, or official weights (--unet and --e3cnn)"


def read_header(path: str | os.PathLike) -> ModelHeader:
    """The header of a model file, without its weights.

    Raises
    ------
    ModelError
        If the file is missing, damaged or not a model.
    """
    path = find_model(path)
    # Read here, not by safetensors, as Slicer shows model cards before any package is installed. The file holds the
    # length of a JSON document, the document, and the tensors.
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            size = path.stat().st_size
            if length > min(MAXIMUM_HEADER_BYTES, size) or size > MAXIMUM_FILE_BYTES:
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            tensors = json.loads(file.read(length))
            metadata = tensors.pop("__metadata__", {})
            if not isinstance(metadata, dict):
                raise ValueError("metadata of another kind")
            end = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
            if end != size:
                raise ValueError(f"{size} bytes instead of {end}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
    return parse_header(path, metadata)
