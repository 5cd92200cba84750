"""Stacks of one fetus in one frame: which of them show the same head, and where it lies in each.

May import `imaging` only; SimpleITK is loaded where stacks are registered. Start with `consensus.py`, which is the
method on one page; `stack.py` has what is compared, `likeness.py` how, `registration.py` what is moved,
`common_frame.py` the frame in the middle, `quality.py` what each stack is worth. docs/alignment.md is for those who
use it.

The names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "FURTHEST_MM": "consensus",
    "Placed": "consensus",
    "PosedStack": "stack",
    "Quality": "quality",
    "brought_together": "consensus",
    "can_register": "registration",
    "common_brain": "quality",
    "quality": "quality",
    "registered": "registration",
    "seen_together": "quality",
    "slice_axis": "quality",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
