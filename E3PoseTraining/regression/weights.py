"""A trained network on disk: half precision, with what is needed to use it and what it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from E3PoseLib.errors import MethodError
from E3PoseLib.imaging.files import whole_file

Network = TypeVar("Network", bound=torch.nn.Module)

HEADER_KEY = "e3pose_method"


def save_network(path: Path, name: str, weights: dict[str, torch.Tensor], header: dict) -> None:
    """Write one network to a ``.safetensors`` file, whole or not at all.

    Parameters
    ----------
    path : Path
    name : str
        Of the method.
    weights : dict of str to Tensor
    header : dict
        ``architecture`` (arguments of the class), ``crop`` (arguments of `crop_views`) and a ``card`` of texts.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    half = {key: value.half().contiguous() if value.is_floating_point() else value for key, value in weights.items()}
    with whole_file(path) as temporary:
        save_file(half, temporary, metadata={HEADER_KEY: json.dumps({"method": name, **header})})


def read_network(path: Path, classes: Mapping[str, type[Network]], needed: Sequence[str] = ()) -> tuple[Network, dict]:
    """One network, ready to be used, and its header.

    Parameters
    ----------
    path : Path
    classes : mapping of str to type
        Of the methods whose weights are wanted, by name.
    needed : sequence of str
        Entries that its header must have.

    Raises
    ------
    MethodError
        If the file is damaged or another method's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError) as error:
        raise MethodError(f"{path}: is no file of weights ({error})") from error
    if HEADER_KEY not in metadata:
        raise MethodError(
            f"{path}: holds no weights of a method; train some with `python -m E3PoseTraining.train_methods`"
        )
    try:
        header = json.loads(metadata[HEADER_KEY])
        name = header["method"]
    except (ValueError, TypeError, KeyError) as error:
        raise MethodError(f"{path}: its header cannot be read, so the file is damaged") from error
    if name not in classes:
        raise MethodError(f"{path}: holds the weights of {name}, not of {' or '.join(classes)}")
    try:
        network = classes[name](**header["architecture"])
        network.load_state_dict({key: v.float() if v.is_floating_point() else v for key, v in weights.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MethodError(f"{path}: the weights do not fit {name}: {error}") from error
    missing = [key for key in needed if key not in header]
    if missing:
        raise MethodError(f"{path}: its header lacks {', '.join(missing)}, so the file is damaged")
    return network.eval().requires_grad_(False), header
