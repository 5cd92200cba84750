"""How long each step took, and word of it while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with the name of the step that begins and the fraction of the work done, in [0, 1]."""


class Stopwatch:
    """Times named steps, each of which ends where the next begins; a step may come more than once.

    Parameters
    ----------
    progress : callable, optional
        Told of each step as it begins.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._starts: list[tuple[str, float]] = []
        self._fraction = 0.0

    def begin(self, step: str, fraction: float) -> None:
        """Start a step, with so much of the whole work done; what was told before never shrinks."""
        self._starts.append((step, time.perf_counter()))
        self._fraction = max(self._fraction, fraction)
        if self._progress is not None:
            self._progress(step, self._fraction)

    def read(self) -> dict[str, float]:
        """Seconds of each step so far, and their "total"."""
        stops = [start for _, start in self._starts[1:]] + [time.perf_counter()]
        timings: dict[str, float] = {}
        for (step, start), stop in zip(self._starts, stops, strict=True):
            timings[step] = timings.get(step, 0.0) + stop - start
        return {**timings, "total": sum(timings.values())}
