"""The part of ``slicer.packaging`` that the panel calls."""

import importlib.metadata
import subprocess
import sys

from packaging.requirements import Requirement


def pip_check(requirement: str) -> bool:
    """Whether a distribution that satisfies the requirement is installed."""
    wanted = Requirement(requirement)
    try:
        return importlib.metadata.version(wanted.name) in wanted.specifier
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_ensure(requirements, constraints=None, prompt_install=True, requester=None, **options) -> None:
    """Install the requirements that are not met, after asking; RuntimeError where the person declines."""
    import slicer

    missing = [requirement for requirement in requirements if not pip_check(requirement)]
    if not missing:
        return
    question = f"{requester}: install {', '.join(missing)}?"
    if prompt_install and not slicer.util.confirmOkCancelDisplay(question):
        raise RuntimeError("User declined package installation")
    constrained = ["-c", str(constraints)] if constraints else []
    subprocess.run([sys.executable, "-m", "pip", "install", *constrained, *missing], check=True)
