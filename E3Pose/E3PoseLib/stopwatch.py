"""How long each step took, and word of it while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with the name of the step that begins and the fraction of the work done, in [0, 1]."""


class Stopwatch:
    """Times named steps, each of which ends where the next begins.

    Parameters
    ----------
    progress : callable, optional
        Told of each step as it begins.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._starts: list[tuple[str, float]] = []

    def begin(self, step: str, fraction: float) -> None:
        """Start a step, with so much of the whole work done."""
        self._starts.append((step, time.perf_counter()))
        if self._progress is not None:
            self._progress(step, fraction)

    def read(self) -> dict[str, float]:
        """Seconds of each step so far, and their "total"."""
        stops = [start for _, start in self._starts[1:]] + [time.perf_counter()]
        timings = {step: stop - start for (step, start), stop in zip(self._starts, stops, strict=True)}
        return {**timings, "total": sum(timings.values())}
