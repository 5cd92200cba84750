"""Libraries that tell torch's compiler to leave a function alone, without loading the compiler for that."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import ModuleType
from typing import Any

import torch

COMPILER = "torch._dynamo"


@contextmanager
def compiler_left_out() -> Iterator[None]:
    """While this lasts, libraries may be imported that call `torch.compiler.disable`, as e3nn and roma do.

    torch loads its compiler to obey, 700 modules in a second, a quarter of what one scan takes from start to end; and
    nothing here is compiled. Who compiles in the same process finds those functions left alone all the same. Does
    nothing where the compiler is loaded already.

    >>> with compiler_left_out():
    ...     import e3nn.o3
    """
    if COMPILER in sys.modules:
        yield
        return
    sys.modules[COMPILER] = torch._dynamo = _StandIn(COMPILER)
    try:
        yield
    finally:
        _dismiss()


class _StandIn(ModuleType):
    """The compiler until more is asked of it than to leave a function alone."""

    @staticmethod
    def disable(function: Callable | None = None, *settings: Any, **named: Any) -> Callable:
        if function is None:
            return lambda function: _StandIn.disable(function, *settings, **named)
        disabled = cache(lambda: sys.modules[COMPILER].disable(function, *settings, **named))

        @wraps(function)
        def left_alone(*args: Any, **kwargs: Any) -> Any:
            is_loaded = not isinstance(sys.modules.get(COMPILER), _StandIn | None)
            return (disabled() if is_loaded else function)(*args, **kwargs)

        return left_alone

    def __getattr__(self, name: str) -> Any:
        _dismiss()
        return getattr(importlib.import_module(COMPILER), name)


def _dismiss() -> None:
    """Leave the compiler to be loaded when it is next asked for, if it has not been."""
    if isinstance(sys.modules.get(COMPILER), _StandIn):
        del sys.modules[COMPILER], torch._dynamo
