"""What Slicer's Python must have for the method, and how it gets it.

Nothing heavy is imported to find out: versions come from the distributions' metadata. PyTorch is installed by
the PyTorch extension, which picks the build that fits the graphics card; everything else by Slicer's own pip,
held so that no package that Slicer or another extension brought is replaced.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from E3PoseLib.errors import DependencyError

STATED_REQUIREMENTS = (
    "torch>=2.2.2",
    "e3nn>=0.5.5",
    "nibabel>=5.2",
    "numpy>=1.26; sys_platform != 'darwin' or platform_machine != 'x86_64'",
    "numpy>=1.26,<2; sys_platform == 'darwin' and platform_machine == 'x86_64'",
    "roma>=1.5",
    "safetensors>=0.4.5",
    "scipy>=1.11",
    "tqdm>=4.66",
)
"""The dependencies of the library on every platform, as `pyproject.toml` states them."""


def requirements(environment: dict[str, str] | None = None) -> tuple[str, ...]:
    """The stated requirements that hold on a platform, without their conditions.

    Parameters
    ----------
    environment : dict, optional
        Markers that differ from those of this platform, such as ``{"sys_platform": "darwin"}``.
    """
    held = []
    for text in STATED_REQUIREMENTS:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            held.append(f"{requirement.name}{requirement.specifier}")
    return tuple(held)


REQUIREMENTS = requirements()
"""Those of this platform."""

PROTECTED = ("numpy", "scipy", "SimpleITK", "vtk", "itk", "requests", "pydicom", "torch", "torchvision")
"""Packages that Slicer or its PyTorch extension brings in builds of their own: pip must not replace one of
them.
"""


@dataclass(frozen=True)
class Package:
    """One requirement and the version found, None where the package is not installed."""

    requirement: str
    version: str | None

    @property
    def name(self) -> str:
        return Requirement(self.requirement).name

    @property
    def satisfied(self) -> bool:
        """Whether an installed version meets the requirement."""
        return self.version is not None and Requirement(self.requirement).specifier.contains(
            self.version, prereleases=True
        )


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, without importing it."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def packages() -> list[Package]:
    """Every requirement with what is installed."""
    return [Package(text, installed_version(Requirement(text).name)) for text in REQUIREMENTS]


def missing() -> list[Package]:
    """The requirements that are not met."""
    return [package for package in packages() if not package.satisfied]


def unfit_package(error: BaseException) -> str:
    """Which package is to blame for an error, where one was found that does not do; else "".

    An old one on PYTHONPATH, for example, comes before the one that was installed with this library.

    Parameters
    ----------
    error : BaseException
        From an import, or a call of what was imported.
    """
    by_path = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    raised_in = _raised_in(error)
    for text in REQUIREMENTS:
        name = Requirement(text).name
        place = _place_of(name)
        if place is None:
            continue
        version = _version_in(place, name)
        is_old = version is not None and not Package(text, version).satisfied
        is_on_path = place.parent in by_path
        if is_old or (is_on_path and raised_in is not None and place in raised_in.parents):
            remedy = (
                "take that folder out of PYTHONPATH" if is_on_path else f"install a newer one: pip install '{text}'"
            )
            return f"{name} {version or ''} in {place} does not do, {text} is needed: {remedy}"
    return ""


def _place_of(name: str) -> Path | None:
    """The folder of a package as Python finds it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def _version_in(place: Path, name: str) -> str | None:
    """The version that a package states, or the metadata beside it."""
    stated = getattr(sys.modules.get(name), "__version__", None)
    if isinstance(stated, str):
        return stated
    found = importlib.metadata.distributions(name=name, path=[str(place.parent)])
    return next((distribution.version for distribution in found), None)


def _raised_in(error: BaseException) -> Path | None:
    """The file that raised an error, or the one that led to it first."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return Path(frames[-1].f_code.co_filename).resolve() if frames else None


def constraints() -> list[str]:
    """Pip constraints that hold every `PROTECTED` package at the version installed."""
    versions = {name: installed_version(name) for name in PROTECTED}
    return [f"{name}=={version}" for name, version in versions.items() if version is not None]


def install(wanted: list[Package], requester: str = "E3Pose") -> None:
    """Install packages into Slicer's Python; ask the person before calling this.

    Raises
    ------
    DependencyError
        PyTorch is wanted and its extension is missing, an installation failed, or a package would have to be replaced
        that Slicer brought.
    """
    check_can_install(wanted)
    torch = [package for package in wanted if package.name == "torch"]
    others = [package.requirement for package in wanted if package.name != "torch"]
    if torch:
        install_torch(torch[0].requirement)
    if others:
        install_others(others, requester)
    importlib.invalidate_caches()
    unmet = [package.requirement for package in missing()]
    if unmet:
        raise DependencyError(f"still not installed: {', '.join(unmet)}. Restart Slicer and try again")


def check_can_install(wanted: list[Package]) -> None:
    """Whether packages can be installed into this Slicer; to be called before the person is asked.

    Raises
    ------
    DependencyError
        PyTorch is wanted and its extension is missing, or a package would have to be replaced that Slicer brought.
    """
    for package in wanted:
        if package.name in PROTECTED and package.name != "torch" and package.version is not None:
            raise DependencyError(
                f"{package.requirement} is needed, and this Slicer brought {package.name} {package.version}, which "
                f"must not be replaced{_why(package)}. Take another Slicer, or estimate outside of it: pip install "
                "e3pose, then 'e3pose estimate'"
            )
    if any(package.name == "torch" for package in wanted) and importlib.util.find_spec("PyTorchUtils") is None:
        raise DependencyError(
            "PyTorch is installed by the PyTorch extension, which this Slicer lacks: install it with the "
            "Extensions Manager (View > Extensions Manager > PyTorch), restart Slicer, then press Install"
        )


def _why(package: Package) -> str:
    """Why the platform cannot have what others can; "" where it can."""
    if package.name == "numpy" and "<2" in package.requirement:
        return " (PyTorch for Macs with an Intel processor ends at 2.2.2, which works with numpy 1 alone)"
    return ""


def install_torch(requirement: str) -> None:
    """Install PyTorch through the PyTorch extension.

    Raises
    ------
    DependencyError
        The extension is not installed, or could not install PyTorch.
    """
    check_can_install([Package(requirement, None)])
    import PyTorchUtils

    specifier = str(Requirement(requirement).specifier)
    logic = PyTorchUtils.PyTorchUtilsLogic()
    try:
        torch = logic.installTorch(askConfirmation=False, torchVersionRequirement=specifier)
    except Exception as error:
        raise DependencyError(f"the PyTorch extension could not install {requirement}: {error}") from error
    if torch is None:
        raise DependencyError(f"the PyTorch extension did not install {requirement}: see its own panel")


def install_others(requirements: list[str], requester: str) -> None:
    """Install requirements with Slicer's pip: ``slicer.packaging`` from Slicer 5.11 on, else ``slicer.util``.

    Raises
    ------
    DependencyError
        Pip failed.
    """
    import slicer

    with tempfile.TemporaryDirectory() as folder:
        constraints_file = Path(folder) / "constraints.txt"
        constraints_file.write_text("\n".join(constraints()) + "\n", encoding="utf-8")
        try:
            if importlib.util.find_spec("slicer.packaging") is not None:
                import slicer.packaging

                slicer.packaging.pip_ensure(
                    requirements,
                    constraints=constraints_file,
                    prompt_install=False,
                    requester=requester,
                    skip_in_testing=False,
                )
            else:
                slicer.util.pip_install([*requirements, "--constraint", str(constraints_file)])
        except Exception as error:
            raise DependencyError(
                f"installing {', '.join(requirements)} failed: {error}. Check the network connection and "
                "look at the Python console for pip's own words"
            ) from error
