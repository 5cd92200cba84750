"""Files that a command writes together with one document, which says what they were made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import OutputError, TransformError
from ...imaging.files import whole_file
from ...imaging.geometry import read_json
from .files import UNFINISHED_ENDING
from .placing import place_together, unfinished
from .record import content_stated, encoded, is_unfinished_mark, unfinished_mark

WAY_OUT = "choose another output folder, or replace it by --overwrite"


@dataclass(frozen=True)
class Bundle:
    """All files of one run of a command, in a folder and folders in it.

    Parameters
    ----------
    folder : Path
        Which is there.
    name : str
        In messages and of the mark that stands while the files take their places, without its ending.
    files : mapping of str to Path
        Where each goes; "json" is the document, which takes its place last.
    format : str
        That the document states, by which it is known again.
    """

    folder: Path
    name: str
    files: Mapping[str, Path]
    format: str

    def stands(self, origin: Mapping[str, object], is_current: Callable[[], bool] = lambda: False) -> bool:
        """Whether these results are there already; where not, nothing that is there is lost by writing them.

        Parameters
        ----------
        origin : mapping
            What the document that is to be written states of what it was made from; its ``settings`` are compared one
            by one.
        is_current : callable
            Whether results of this origin need not be made anew.

        Raises
        ------
        OutputError
            If files of another origin, results of other scans or settings, or a file that somebody has edited would be
            replaced or removed.
        """
        self._check_origin(origin)
        if is_current():
            return True
        self._check_unedited()
        return False

    def _check_origin(self, origin: Mapping[str, object]) -> None:
        if self._was_stopped():
            return
        document = self.document()
        if document is None:
            for path in self.files.values():
                if os.path.lexists(path):
                    raise OutputError(f"{path}: is no result of this command; {WAY_OUT}")
            return
        settings, wanted_settings = document.get("settings"), origin["settings"]
        recorded = {**document, **(settings if isinstance(settings, dict) else {})}
        wanted = {**origin, **(wanted_settings if isinstance(wanted_settings, dict) else {})}
        for key, value in wanted.items():
            if key != "settings" and recorded.get(key) != value:
                path = self.files["json"]
                before, now = ("no" if one is None else repr(one) for one in (recorded.get(key), value))
                raise OutputError(f"{path}: was made with {key} {before}, not {now}; {WAY_OUT}")

    def check_no_folders(self) -> None:
        """Find out early what would fail late.

        Raises
        ------
        OutputError
            If a folder has the name of one of the files.
        """
        for path in self.files.values():
            if path.is_dir():
                raise OutputError(f"{path}: is a folder; choose another output folder")

    def _check_unedited(self) -> None:
        """Keep what somebody has corrected, a mask for instance: also a file that the new results do not have."""
        document = None if self._was_stopped() else self.document()
        stated = (document or {}).get("files")
        if not isinstance(stated, dict):
            return
        for kind, path in {**self._stated_paths(), **self.files}.items():
            if kind in stated and path.is_file() and stated[kind] != content_stated(path):
                raise OutputError(f"{path}: was edited; move it, or replace it by --overwrite")

    def document(self) -> dict | None:
        """The document that stands, if it is of this format."""
        with suppress(TransformError):
            document = read_json(self.files["json"])
            if document.get("format") == self.format:
                return document
        return None

    def is_whole(self) -> bool:
        """Whether all files stand as the document states, by their content."""
        document = self.document()
        stated = None if document is None or self._was_stopped() else document.get("files")
        if not isinstance(stated, dict):
            return False
        try:
            return all(stated.get(kind) == content_stated(path) for kind, path in self.files.items() if kind != "json")
        except OSError:
            return False

    @contextmanager
    def written(self, document: dict) -> Iterator[dict[str, Path]]:
        """Yield where to write each file but the document; then all take their places, or the ones before stay.

        Parameters
        ----------
        document : dict
            To which size and hash of the files are added.

        Raises
        ------
        OutputError
            If a file cannot be written or replaced.
        """
        names = {kind: f"{n}{''.join(path.suffixes[-2:])}" for n, (kind, path) in enumerate(self.files.items())}
        gone = self._gone()
        with unfinished(self.folder, self.files, names) as parts:
            yield {kind: part for kind, part in parts.items() if kind != "json"}
            stated = {kind: content_stated(part) for kind, part in parts.items() if kind != "json"}
            place = parts["json"].parent
            relative = {kind: path.relative_to(self.folder).as_posix() for kind, path in self.files.items()}
            mark = place / "mark.json"
            for path, text in (
                (parts["json"], {**document, "files": stated, "paths": relative}),
                (mark, unfinished_mark(self.name, self.files)),
            ):
                with whole_file(path) as temporary:
                    temporary.write_text(encoded(text), encoding="utf-8")
            for path in self.files.values():
                path.parent.mkdir(parents=True, exist_ok=True)
            ordered = [kind for kind in self.files if kind != "json"] + ["json"]
            place_together({parts[kind]: self.files[kind] for kind in ordered}, gone, (mark, self._mark), place)

    @property
    def _mark(self) -> Path:
        return self.folder / f"{self.name}{UNFINISHED_ENDING}"

    def _was_stopped(self) -> bool:
        """Whether a run was killed while its files took their places: whatever stands is of this command."""
        return is_unfinished_mark(self._mark)

    def _gone(self) -> list[Path]:
        """Files of the results before that the new ones do not have."""
        return sorted(set(self._stated_paths().values()) - set(self.files.values()))

    def _stated_paths(self) -> dict[str, Path]:
        """Where the files of the results that stand are, by their document."""
        paths = (self.document() or {}).get("paths")
        known = paths.items() if isinstance(paths, dict) else ()
        return {kind: self.folder / path for kind, path in known if isinstance(path, str) and _stays_inside(path)}


def _stays_inside(path: str) -> bool:
    """Whether a relative path of a document, which anybody may have edited, leads into the folder of the results."""
    return not Path(path).is_absolute() and ".." not in Path(path).parts
