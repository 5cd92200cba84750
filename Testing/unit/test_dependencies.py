"""What Slicer's Python must have."""

import importlib.machinery
import sys
import types
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from E3PoseLib import dependencies
from E3PoseLib.errors import DependencyError

if sys.version_info >= (3, 11):
    import tomllib


@pytest.mark.skipif(sys.version_info < (3, 11), reason="reads pyproject.toml with tomllib of Python 3.11")
def test_same_requirements_as_the_distribution():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert sorted(dependencies.STATED_REQUIREMENTS) == sorted(project["dependencies"])


def test_macs_with_intel_processors_are_asked_for_what_they_can_have():
    intel = dependencies.requirements({"sys_platform": "darwin", "platform_machine": "x86_64"})
    others = dependencies.requirements({"sys_platform": "darwin", "platform_machine": "arm64"})
    linux = dependencies.requirements({"sys_platform": "linux", "platform_machine": "x86_64"})
    assert Requirement(next(text for text in intel if "numpy" in text)).specifier.contains("1.26.4")
    assert not Requirement(next(text for text in intel if "numpy" in text)).specifier.contains("2.0.0")
    assert others == linux == tuple(text.replace(",<2", "").replace("<2,", "") for text in intel)
    assert dependencies.Package("torch>=2.2.2", "2.2.2").satisfied


def test_what_slicer_brought_is_not_replaced_and_the_reason_said():
    with pytest.raises(
        DependencyError, match=r"numpy 2\.1\.0.*not be replaced \(PyTorch for Macs with an Intel.*outside"
    ):
        dependencies.install([dependencies.Package("numpy<2,>=1.26", "2.1.0")])


def test_finds_what_is_installed():
    found = {package.name: package.version for package in dependencies.packages()}
    assert found == {name: version(name) for name in found}
    assert dependencies.missing() == []


@pytest.mark.parametrize(("installed", "satisfied"), [(None, False), ("2.2.1", False), ("2.13.0+cpu", True)])
def test_old_and_missing_versions_do_not_satisfy(installed, satisfied):
    assert dependencies.Package("torch>=2.2.2", installed).satisfied is satisfied


def test_constraints_hold_slicer_s_own_packages():
    held = {Requirement(line).name: line for line in dependencies.constraints()}
    assert held["numpy"] == f"numpy=={version('numpy')}"
    assert held["torch"] == f"torch=={version('torch')}"


def test_torch_without_its_extension_says_what_to_do():
    with pytest.raises(DependencyError, match="Extensions Manager"):
        dependencies.install([dependencies.Package("torch>=2.2.2", None)])


def test_torch_is_installed_by_its_extension(monkeypatch):
    asked = {}

    class PyTorchUtilsLogic:
        def installTorch(self, **arguments):  # noqa: N802
            asked.update(arguments)
            return sys

    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = PyTorchUtilsLogic
    extension.__spec__ = importlib.machinery.ModuleSpec("PyTorchUtils", None)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    dependencies.install([dependencies.Package("torch>=2.2.2", None)])
    assert asked == {"askConfirmation": False, "torchVersionRequirement": ">=2.2.2"}
