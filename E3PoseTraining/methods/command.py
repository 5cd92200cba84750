"""``e3pose estimate --method NAME``: the poses of many scans by another method."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from E3PoseLib.errors import MethodError
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseLib.running.results.known_model import model_file_hash
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.scans.tasks import Task
from E3PoseLib.running.screen.progress import run_with_progress

from .ages import Ages
from .estimator import MethodEstimator, ScanOfAge, check_means
from .method import Means, Method, Need
from .registry import find_method, hash_of, hash_of_templates, identity_of_method, label_of, weights_of


@dataclass(frozen=True)
class MethodSettings(Settings):
    """Settings of a run by another method, which is told the age of each scan."""

    ages: Ages = field(default_factory=lambda: Ages(None))
    """None are known where the method needs none: what it is not told cannot change its answers."""

    def for_task(self, task: Task) -> Settings:
        age = self.ages.of(task)
        shared = {name: getattr(self, name) for name in Settings.__dataclass_fields__}
        return replace(Settings(**shared), known={} if age is None else {"age_weeks": age})


@dataclass(frozen=True)
class _Reader:
    ages: Ages
    voxel_size: tuple[float, ...] | None

    def __call__(self, task: Task) -> ScanOfAge:
        age = self.ages.of(task)
        volume = read_volume(task.path, task.frame, self.voxel_size)
        parts = {name: getattr(volume, name) for name in Volume.__dataclass_fields__}
        return ScanOfAge(**parts, age_weeks=age)


def means_of(options: argparse.Namespace, model: dict) -> Means:
    """What is told of the run on the command line; weights that are not told are those of the project."""
    return Means(
        device=options.device,
        model=model,
        templates=Path(options.templates) if options.templates else None,
        weights=Path(options.weights) if options.weights else weights_of(options.method),
        localiser=weights_of(options.localiser) or Path(options.localiser) if options.localiser else None,
    )


def estimate_by_method(tasks: Sequence[Task], options: argparse.Namespace, model: dict) -> int:
    """Estimate the pose in scans by the method asked for; returns the exit status of ``e3pose estimate``.

    Raises
    ------
    E3PoseError
        If the method cannot be used as asked for.
    """
    name = options.method
    if options.devices > 1:
        raise MethodError(
            "--devices is of E(3)-Pose alone: other methods run in one process, or on several --num-nodes"
        )
    if options.precision != "float32":
        raise MethodError("--precision is of E(3)-Pose alone")
    means = means_of(options, model)
    needs = find_method(name).needs
    for need, given, flag in (
        (Need.WEIGHTS, options.weights, "--weights"),
        (Need.TEMPLATES, options.templates, "--templates"),
    ):
        if given and need not in needs:
            raise MethodError(f"{name} has no use for {flag}: leave it out")
    settings = Settings(
        model="",
        space=options.space,
        direction=options.direction,
        save_mask=options.save_mask,
        reslice_spacing=options.save_resliced,
        voxel_size=options.voxel_size,
    )
    return run_method(tasks, name, means, options.age, options.output, settings, options.overwrite)


def run_method(
    tasks: Sequence[Task],
    name: str,
    means: Means,
    age: str | None,
    folder: str | Path,
    settings: Settings,
    overwrite: bool = False,
) -> int:
    """Run a method over scans as ``e3pose estimate`` does; returns the exit status.

    Parameters
    ----------
    tasks : sequence of Task
    name : str
        Of the method, or ``path/to/file.py:Class``.
    means : Means
    age : str, optional
        As for `Ages`.
    folder : path-like
        Of the results.
    settings : Settings
        What is written; method and model are filled in here.
    overwrite : bool

    Raises
    ------
    E3PoseError
        If the method cannot be used as asked for.
    """
    method = usable_method(name, means, age)
    settings = settings_of_method(name, means, age, settings)
    return run_with_progress(
        tasks,
        lambda n_scans: MethodEstimator(method, name, means),
        folder,
        settings,
        overwrite,
        read=_Reader(settings.ages, settings.voxel_size),
    )


def settings_of_method(name: str, means: Means, age: str | None, settings: Settings) -> MethodSettings:
    """What the results of a run record, by which those of another are told; parameters as for `run_method`."""
    shared = {each: getattr(settings, each) for each in Settings.__dataclass_fields__}
    shared |= {"method": identity_of_method(name), "model": _identity_of_means(name, means)}
    ages = Ages(age)  # a table that cannot be read is said in any case
    return MethodSettings(**shared, ages=ages if Need.AGE in find_method(name).needs else Ages(None))


def usable_method(name: str, means: Means, age: str | None) -> type[Method]:
    """The class of a method that has all that it needs; parameters as for `run_method`.

    Raises
    ------
    MethodError
        If there is no such method, or it needs what is not told.
    DependencyError
        If a package that it needs is not installed.
    """
    method = find_method(name)
    check_means(method, name, means)
    if Need.AGE in method.needs and age is None:
        raise MethodError(f"{name} needs {Need.AGE.value}")
    return method


def _identity_of_means(name: str, means: Means) -> str:
    """What tells two runs of one method apart: its weights, its templates, its model's file."""
    needs = find_method(name).needs
    parts = [label_of(name)]
    if Need.WEIGHTS in needs and means.weights is not None:
        parts.append(hash_of(means.weights))
    if Need.TEMPLATES in needs and means.templates is not None:
        parts.append(hash_of_templates(means.templates))
    if Need.MODEL in needs:
        parts.append(model_file_hash(means.model)[:8])
    if means.localiser is not None:
        parts.append(hash_of(means.localiser))
    return " ".join(parts)
