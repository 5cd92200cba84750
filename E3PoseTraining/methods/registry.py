"""The methods by name, and those of a user by file and class."""

from __future__ import annotations

import hashlib
import sys
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from E3PoseLib.errors import DependencyError, MethodError
from E3PoseLib.running.results.settings import E3_POSE

from .method import Method

METHODS = {
    E3_POSE: "e3_pose:E3Pose",
    "3dpose-net": "learned:Learned",
    "6drep": "learned:Learned",
    "ants": "registration.by_ants:ByANTs",
    "e3cnn": "learned:Learned",
    "e3cnn-no-low-resolution": "learned:Learned",
    "e3cnn-no-spin-history": "learned:Learned",
    "e3cnn-pooled-loss": "learned:Learned",
    "e3cnn-so3": "learned:Learned",
    "e3cnn-vector-x": "learned:Learned",
    "equitrack": "equitrack:EquiTrack",
    "fetal-align": "fetal_align.align:FetalAlign",
    "fireants": "registration.by_fireants:ByFireANTs",
    "official": "official:OfficialProgram",
    "plain-cnn": "learned:Learned",
    "rbr": "learned:Learned",
    "sitk": "registration.sitk:BySimpleITK",
}
"""Module of this package and class of each method: an own one that is to stay is entered here."""

WEIGHTS = Path(__file__).parent / "weights"
"""Of learned methods and of localisers, trained for the comparison of docs/comparison.md."""

HASHED = 8
"""Digits of the hash by which two versions of a user's file are told apart."""


def find_method(name: str) -> type[Method]:
    """The class of a method: by its name, or ``path/to/file.py:Class``.

    Raises
    ------
    MethodError
        If there is no such method, file or class, or the class is no method.
    DependencyError
        If a package that it needs is not installed.
    """
    if name in METHODS:
        module_name, _, class_name = METHODS[name].partition(":")
        try:
            return getattr(import_module(f"{__package__}.{module_name}"), class_name)
        except ModuleNotFoundError as error:
            raise DependencyError(
                f"the method {name} needs the package {error.name}, which is not installed: see docs/methods.md"
            ) from error
    path, _, class_name = name.rpartition(":")
    if not path.endswith(".py"):
        raise MethodError(
            f"there is no method {name!r}; choose one of {', '.join(METHODS)}, or name your own: path/to/file.py:Class"
        )
    return _own_method(Path(path), class_name)


def weights_of(name: str) -> Path | None:
    """The weights of a learned method, or of a localiser, that come with the project; None where there are none."""
    return next((path for path in WEIGHTS.glob("*.safetensors") if path.stem == name), None)


def identity_of_method(name: str) -> str:
    """What results record as their method: of a user's file its class and some of its hash.

    Raises
    ------
    MethodError
        If the file cannot be read.
    """
    if name in METHODS:
        return name
    path, _, class_name = name.rpartition(":")
    return f"{class_name} {hash_of(Path(path))}"


def label_of(name: str) -> str:
    """What a table calls a method.

    >>> label_of("ants"), label_of("mine.py:Moments")
    ('ants', 'Moments')
    """
    return name.rpartition(":")[2]


def hash_of(path: Path) -> str:
    """Some digits of the hash of a file's content.

    Raises
    ------
    MethodError
        If it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:HASHED]
    except OSError as error:
        raise MethodError(f"{path}: cannot be read ({error.strerror or error})") from error


def hash_of_templates(folder: Path) -> str:
    """Some digits of the hash of a folder of templates: of its ``templates.json`` and every NIfTI file in it.

    The index alone is the same for templates of other scans.

    Raises
    ------
    MethodError
        If a file cannot be read, or there is no index.
    """
    index = folder / "templates.json"
    heads = sorted(path for path in folder.glob("[!.]*.nii*") if path.is_file())
    parts = [f"{path.name} {hash_of(path)}" for path in (index, *heads)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:HASHED]


def _own_method(path: Path, class_name: str) -> type[Method]:
    if not path.is_file():
        raise MethodError(f"{path}: there is no such file of a method; give path/to/file.py:Class")
    module_name = f"e3pose_own_method_{path.stem}"
    spec = spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise MethodError(f"{path}: is no Python file")
    module = module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[module_name] = module
    try:
        with redirect_stdout(sys.stderr):  # tables are for the output
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise MethodError(f"{path}: cannot be loaded ({type(error).__name__}: {error})") from error
    method = getattr(module, class_name, None)
    if not isinstance(method, type):
        raise MethodError(f"{path}: has no class {class_name!r}; give path/to/file.py:Class")
    if not isinstance(getattr(method, "needs", None), frozenset) or "__call__" not in dir(method):
        raise MethodError(f"{path}: {class_name} is no method: it needs `needs` and `__call__`, see docs/methods.md")
    return method
