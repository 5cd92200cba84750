"""A scan from its file, for every command: what is no scan is refused in the same words."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import NotAScanError
from ...imaging.formats.labels import is_label_map
from ...imaging.volume import Volume, read_volume
from .source import Source
from .stand_ins import refuse_stand_in
from .tasks import Task


def read_scan(task: Task, read: Callable[[Task], Volume] | None = None) -> tuple[Volume, Source]:
    """Read a scan.

    Parameters
    ----------
    task : Task
    read : callable, optional
        How; `read_volume` if not given.

    Returns
    -------
    Volume
    Source
        Of the file as it was before it was read.

    Raises
    ------
    VolumeError
        If it cannot be read, or something else stands in its place.
    NotAScanError
        If it holds labels.
    """
    refuse_stand_in(task.path)
    source = Source(task.path)
    volume = read_volume(task.path, task.frame) if read is None else read(task)
    refuse_labels(volume)
    return volume, source


def refuse_labels(volume: Volume) -> None:
    """Say that a label map or mask is no scan.

    Raises
    ------
    NotAScanError
    """
    if is_label_map(volume.array):
        raise NotAScanError(f"{volume.name}: holds labels, not a scan; name the scan that they belong to")
