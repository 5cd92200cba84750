"""Tables of evidence: of each pose that a model found in scans with known poses, its doubts and how far off it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from E3PoseLib.errors import DatasetError
from E3PoseLib.models.calibration import RIGHT_DEGREES, RIGHT_MM

from ..data.tables import groups_of, number, read_table

KNOWN = ("frame_id", "kind", "group", "taken", "degrees", "mm")
"""Columns of a table; those that follow are the doubts."""

NO_HEAD = "no head"
"""Kind of what shows none."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Poses that were found, N of them.

    Parameters
    ----------
    doubts : dict of str to np.ndarray
        ``[N]`` each, `sizes_of_doubts`.
    degrees, mm : np.ndarray
        ``[N]``, how far off; NaN where the scan has no head, and every pose is wrong.
    kinds, groups : np.ndarray
        ``[N]``, text: of the scan, and of the fetus.
    taken : np.ndarray
        ``[N]``, bool: the model's answer; others were found and not taken.
    tables : np.ndarray
        ``[N]``, number of the table that each is of, from 0.
    """

    doubts: dict[str, np.ndarray]
    degrees: np.ndarray
    mm: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray
    taken: np.ndarray
    tables: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """``[N]``, bool."""
        return (self.degrees <= RIGHT_DEGREES) & (self.mm <= RIGHT_MM)

    @property
    def has_head(self) -> np.ndarray:
        """``[N]``, bool: whether the scan shows a head, so that the pose has an error."""
        return ~np.isnan(self.degrees)

    def select(self, keep: np.ndarray) -> Evidence:
        """Those of the poses."""
        doubts = {name: values[keep] for name, values in self.doubts.items()}
        others = (self.degrees, self.mm, self.kinds, self.groups, self.taken, self.tables)
        return Evidence(doubts, *(one[keep] for one in others))


def read_evidence(tables: Iterable[Path]) -> Evidence:
    """The poses of tables that `collect` has written.

    Raises
    ------
    DatasetError
        A table is missing, or is none of evidence, or two have poses in common: these would count twice.
    """
    rows, groups, counts, names = [], list[str](), [], None
    for path in tables:
        of_table = read_table(path, KNOWN)
        columns = tuple(of_table[0])[len(KNOWN) :] if of_table else ()
        if names is not None and columns != names:
            raise DatasetError(f"{path} tells of other doubts than the tables before. Make all of them anew.")
        names = columns
        rows += [(row, path) for row in of_table]
        groups += groups_of([row["frame_id"] for row in of_table], [row["group"] for row in of_table], "group", path)
        counts.append(len(of_table))
    if not rows or not names:
        raise DatasetError("the tables of evidence are empty")
    evidence = Evidence(
        {name: np.array([number(row, name, path) for row, path in rows]) for name in names},
        *(np.array([float(row[name] or "nan") for row, _ in rows]) for name in ("degrees", "mm")),
        np.array([row["kind"] for row, _ in rows]),
        np.array(groups),
        np.array([row["taken"] == "1" for row, _ in rows]),
        np.repeat(np.arange(len(counts)), counts),
    )
    _refuse_twice([(row["frame_id"], path) for row, path in rows], evidence)
    return evidence


def _refuse_twice(poses: Sequence[tuple[str, Path]], evidence: Evidence) -> None:
    """Refuse tables with poses in common, told by the name of each of the ``N`` poses and its table.

    What shows no head may be in many: all tables have the same noise.
    """
    first_of: dict[tuple, int] = {}
    twice = []
    for n in evidence.has_head.nonzero()[0].tolist():
        # Another scan of the same name is off by something else.
        pose = poses[n][0], round(evidence.degrees[n], 3), round(evidence.mm[n], 3)
        first = first_of.setdefault(pose, n)
        if evidence.tables[first] != evidence.tables[n]:
            twice.append((first, n))
    if twice:
        (_, first_table), (name, table) = (poses[n] for n in twice[0])
        raise DatasetError(
            f"{first_table} and {table}: have poses in common, such as {name!r} ({len(twice)} in all), which would "
            "count twice. Give each in one table; `fit --weight` says how much a table counts."
        )
