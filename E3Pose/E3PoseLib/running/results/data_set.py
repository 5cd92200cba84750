"""A folder of results as a BIDS data set of derivatives: its description."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from ... import __version__
from ...errors import OutputError, TransformError
from ...imaging.geometry import read_json, write_json
from ..scans.bids import DESCRIPTION, subjects_of
from ..scans.folders import folders_in
from ..scans.tasks import Task

BIDS_VERSION = "1.9.0"
GENERATOR = "E3Pose"


def is_our_data_set(folder: Path) -> bool:
    """Whether a folder's description says that it holds results of this program."""
    with contextlib.suppress(TransformError, TypeError, AttributeError):
        return any(made.get("Name") == GENERATOR for made in read_json(folder / DESCRIPTION).get("GeneratedBy", ()))
    return False


def places_of_results(folder: Path) -> list[Path]:
    """The folders in which results lie: this one, and of our data set all of its subjects', however deep."""
    if not is_our_data_set(folder):
        return [folder]
    return [folder, *(place for subject in subjects_of(folder) for place in folders_in(subject))]


def describe_data_set(folder: Path, tasks: Iterable[Task]) -> None:
    """Write the description, if any scan is of a BIDS data set.

    Raises
    ------
    OutputError
        If the folder is another data set, or it cannot be written.
    """
    sources = {_data_set_of(task) for task in tasks if task.bids is not None}
    if not sources:
        return
    path = folder / DESCRIPTION
    if os.path.lexists(path):
        if not is_our_data_set(folder):
            raise OutputError(f"{folder}: is another data set, by its {DESCRIPTION}; choose another output folder")
        sources |= {entry["URL"] for entry in read_json(path).get("SourceDatasets", ()) if "URL" in entry}
    write_json(
        path,
        {
            "Name": "Head poses by E3Pose",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": GENERATOR, "Version": __version__}],
            "SourceDatasets": [{"URL": source} for source in sorted(sources)],
        },
    )


def _data_set_of(task: Task) -> str:
    """The folder of the data set of a scan, as an address."""
    assert task.bids is not None
    return Path(os.path.abspath(task.path)).parents[len(task.bids.folder)].as_uri()  # noqa: PTH100
