"""How old the fetus of each scan is, as told on the command line."""

from __future__ import annotations

from pathlib import Path

from E3PoseLib.errors import DatasetError, MethodError
from E3PoseLib.running.scans.tasks import Task

from ..data.tables import number, read_table

AGE_COLUMN = "gestational_age_weeks"
POSSIBLE_WEEKS = (10.0, 45.0)


class Ages:
    """The gestational age of each scan.

    Parameters
    ----------
    told : str or None
        Weeks for all scans, or a CSV with the columns ``frame_id`` (the name of a scan's results) and
        ``gestational_age_weeks``; None where nothing is known.

    Raises
    ------
    MethodError
        If it is neither.
    DatasetError
        If the table cannot be read.
    """

    def __init__(self, told: str | None) -> None:
        self._of_all: float | None = None
        self._of_each: dict[str, float] = {}
        self._table: Path | None = None
        if told is None:
            return
        try:
            self._of_all = _possible(float(told), "--age")
        except ValueError:
            self._table = Path(told)
            if not self._table.is_file():
                raise MethodError(
                    f"--age {told}: is neither a number of weeks nor a CSV with frame_id and {AGE_COLUMN}"
                ) from None
            for row in read_table(self._table, (AGE_COLUMN,)):
                if (row[AGE_COLUMN] or "").strip():
                    age = number(row, AGE_COLUMN, self._table)
                    self._of_each[row["frame_id"]] = _possible(age, f"{self._table}: {row['frame_id']}")

    def of(self, task: Task) -> float | None:
        """Weeks, or None where nothing is known of any scan.

        Raises
        ------
        DatasetError
            If there is a table without this scan.
        """
        if self._table is None:
            return self._of_all
        if task.name not in self._of_each:
            raise DatasetError(f"{self._table}: has no {AGE_COLUMN} of {task.name}")
        return self._of_each[task.name]


def _possible(weeks: float, what: str) -> float:
    if not POSSIBLE_WEEKS[0] <= weeks <= POSSIBLE_WEEKS[1]:
        raise MethodError(
            f"{what}: {weeks:g} is no gestational age in weeks ({POSSIBLE_WEEKS[0]:g} to {POSSIBLE_WEEKS[1]:g})"
        )
    return weeks
