"""Which stacks show one head, and where that head lies in each: by what they show, not by what they claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import AlignmentError
from ..imaging.geometry import pose_difference
from .common_frame import common_frame
from .likeness import likeness, mean_of, pairwise
from .stack import PosedStack, Sample, region, sampled

ALIKE = 0.45
"""Likeness to the others from which on a stack shows the same head.

Measured: docs/alignment.md.
"""

SURELY_ALIKE = 0.6
"""Below this a stack that is kept may be of another fetus: of 20 synthetic ones six were kept, at up to 0.56."""

MENDED_DEGREES, MENDED_MM = 15.0, 12.0
"""Registration that moves a stack further than this has mended its pose."""

FURTHEST_MM = 60.0
"""Between the head in one stack and in the others, in the scanner's world: further away it is another one."""

OTHER_START_DEGREES, OTHER_START_MM = 15.0, 15.0
"""Places that differ by less lead a registration to the same end."""

MOST_STARTS = 3
ROUNDS = 2

Register = Callable[[PosedStack, Sample, np.ndarray, np.ndarray], np.ndarray]
"""See `registration.registered`."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A stack and what became of it.

    Parameters
    ----------
    stack : PosedStack
    frame_to_ras : np.ndarray
        Shape ``[4, 4]``, rigid, mm: where the common frame lies in the stack; its own pose for one that was left out.
    likeness : float or None
        To what the others show, −1 to 1; None for a stack alone.
    reason : str
        Why it was left out; "" for one that was kept.
    notes : tuple of str
        What else is to be said of it.
    """

    stack: PosedStack
    frame_to_ras: np.ndarray
    likeness: float | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether it shows the same head as the others."""
        return not self.reason

    @property
    def is_mended(self) -> bool:
        """Whether it was kept with another pose than its own, which was wrong."""
        degrees, mm = pose_difference(self.stack.canonical_to_ras, self.frame_to_ras)
        return self.is_kept and (degrees > MENDED_DEGREES or mm > MENDED_MM)


class _Group:
    """Stacks that show one head, each with where the head lies in it."""

    def __init__(self, stacks: Sequence[PosedStack], register: Register | None, furthest_mm: float) -> None:
        self.stacks, self.register, self.furthest_mm = stacks, register, furthest_mm
        self.places: dict[int, np.ndarray] = {}
        self._samples: dict[int, Sample] = {}

    def put(self, index: int, place: np.ndarray) -> None:
        """Put a stack into the group, or where it is in it."""
        where = region(self.others(index).brain) if set(self.places) - {index} else None
        self.places[index] = place
        self._samples[index] = sampled(self.stacks[index], place, where)

    def others(self, index: int) -> Sample:
        """What all but one show together."""
        found = [sample for other, sample in self._samples.items() if other != index]
        return mean_of(found)

    def best(self, index: int, starts: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
        """How like the others a stack becomes and at which place, by the first start that makes it alike, if any."""
        others = self.others(index)
        where = region(others.brain)
        found: list[tuple[float, np.ndarray]] = []
        for start in starts:
            places = [start]
            if self.register is not None:
                places.append(self.register(self.stacks[index], others, where, start))
            found += [(_likeness_at(self.stacks[index], place, others, where), place) for place in places]
            if max(found, key=_score)[0] >= ALIKE:
                break
        return max(found, key=_score)

    def starts(self, index: int) -> list[np.ndarray]:
        """Where the head may lie in a stack: by its own pose, unless that is far from the others; then as in them."""
        own = self.stacks[index].canonical_to_ras
        found = [] if self.register is not None and self.distance(index, own) > self.furthest_mm else [own]
        if self.register is None:
            return found
        for place in self.places.values():
            if len(found) < MOST_STARTS and all(_differ(place, other) for other in found):
                found.append(place)
        return found

    def distance(self, index: int, place: np.ndarray) -> float:
        """Between the head's place in a stack and in the others, in the scanner's world, mm."""
        origins = [other[:3, 3] for at, other in self.places.items() if at != index]
        return float(np.linalg.norm(place[:3, 3] - np.median(origins, axis=0)))


def brought_together(
    stacks: Sequence[PosedStack], register: Register | None, furthest_mm: float = FURTHEST_MM
) -> list[Placed]:
    """Find the stacks that show one head, and one frame of it in all of them.

    The stack that is most like all others begins; the next is always the one most like those that are together
    already. With `register` each is moved to where it is most like the others, from its own pose and, where that does
    not make it alike, from where the head lies in the others. What does not become alike is left out. The common frame
    is the middle of those that the stacks claim.

    Parameters
    ----------
    stacks : sequence of PosedStack
        At least one.
    register : callable, optional
        None leaves each pose as it is.
    furthest_mm : float
        See `FURTHEST_MM`.

    Returns
    -------
    list of Placed
        In the order of the stacks; at least two are kept unless one was given.

    Raises
    ------
    AlignmentError
        If no two of several stacks show the same head.
    """
    if len(stacks) == 1:
        note = "one stack alone: there is nothing to compare its pose with"
        return [Placed(stacks[0], stacks[0].canonical_to_ras, notes=(note,))]
    group = _Group(stacks, register, furthest_mm)
    table = pairwise([sampled(stack, stack.canonical_to_ras) for stack in stacks])
    first, *rest = _order(table)
    group.put(first, stacks[first].canonical_to_ras)
    # Once more for those that were not alike when fewer were together.
    for index in (*rest, *rest):
        if index not in group.places:
            score, place = group.best(index, group.starts(index))
            if score >= ALIKE and group.distance(index, place) <= furthest_mm:
                group.put(index, place)
    if len(group.places) == 1:
        best = max((table[i, j], stacks[i].name, stacks[j].name) for i in range(len(stacks)) for j in range(i))
        raise AlignmentError(
            f"no two of the {len(stacks)} stacks show the same head (the nearest are {best[1]} and {best[2]}, likeness "
            f"{best[0]:.2f}); give more stacks of this fetus, or look at each by itself: e3pose estimate"
        )
    for _ in range(ROUNDS if register is not None and len(group.places) > 1 else 0):
        for index in list(group.places):
            group.put(index, group.best(index, [group.places[index]])[1])
    return _settled(group)


def _settled(group: _Group) -> list[Placed]:
    """What became of each stack, in the common frame of those that are together."""
    middle = common_frame(
        {index: (place, group.stacks[index].canonical_to_ras) for index, place in group.places.items()}
    )
    placed = []
    for index, stack in enumerate(group.stacks):
        if index not in group.places:
            score, _ = group.best(index, [stack.canonical_to_ras])
            placed.append(Placed(stack, stack.canonical_to_ras, score, _why_left_out(group, index)))
            continue
        place = group.places[index] @ middle
        others = group.others(index)
        score = _likeness_at(stack, group.places[index], others, region(others.brain))
        one = Placed(stack, place, score)
        notes = []
        if one.is_mended:
            degrees, mm = pose_difference(stack.canonical_to_ras, place)
            notes.append(f"its own pose was {degrees:.0f}° and {mm:.0f} mm off, and was mended")
        if score < SURELY_ALIKE:
            notes.append("little like the others: look whether it shows the same fetus")
        placed.append(replace(one, notes=tuple(notes)))
    return placed


def _likeness_at(stack: PosedStack, place: np.ndarray, others: Sample, where: np.ndarray) -> float:
    return likeness(sampled(stack, place, where), others, where)


def _why_left_out(group: _Group, index: int) -> str:
    distance = group.distance(index, group.stacks[index].canonical_to_ras)
    if distance > group.furthest_mm:
        return (
            f"its head lies {distance:.0f} mm from that of the others: another fetus, another organ, or another session"
        )
    return "it shows something else than the others: another head, a wrong pose, or much motion"


def _order(table: np.ndarray) -> list[int]:
    """Stacks by how alike they are: first the one most like all, then always the one most like one of those before."""
    positive = np.clip(table - np.eye(len(table)), 0, None)
    order = [int(positive.sum(axis=1).argmax())]
    while len(order) < len(table):
        left = [index for index in range(len(table)) if index not in order]
        order.append(max(left, key=lambda index: positive[index, order].max()))
    return order


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    degrees, mm = pose_difference(one, other)
    return degrees > OTHER_START_DEGREES or mm > OTHER_START_MM


def _score(found: tuple[float, np.ndarray]) -> float:
    return found[0]
