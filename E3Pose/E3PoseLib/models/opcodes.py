"""What in a pickle is not to be read, told from its opcodes before any of them is followed."""

from __future__ import annotations

import pickletools

MAXIMUM_TUPLE = 1000
"""Values in a tuple and the tuples within it, each of them as often as it stands there; no file of weights has more."""

# fmt: off
_OPCODES = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINPUT",
    "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1",
    "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS",
))
# fmt: on
"""What `torch.save` writes for tensors, containers, text and numbers."""

_PUTS = ("BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("BINGET", "LONG_BINGET")
_CHANGES = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD")


def unsafe(document: bytes) -> str:
    """What in a pickle is not to be read; "" if nothing."""
    # Of each value on the unpickler's stack and in its memo, how many there are in the tuple that it is.
    stack: list[int] = []
    memo: dict[int, int] = {}
    marks: list[int] = []
    try:
        for n_opcodes, (opcode, argument, _) in enumerate(pickletools.genops(document), 1):
            name = opcode.name
            if name not in _OPCODES:
                return f"opcode {name}"
            # As keys, any number of these have one hash.
            if name == "LONG1" and not -(2**63) <= int(argument or 0) < 2**63:
                return "a number of more than 64 bits"
            if name == "MARK":
                marks.append(len(stack))
            elif name in _PUTS:
                place = len(memo) if name == "MEMOIZE" else int(argument or 0)
                # The unpickler makes room for the largest number at once.
                if place > n_opcodes:
                    return "a memo out of order"
                memo[place] = stack[-1]
            elif name in _GETS:
                stack.append(memo[int(argument or 0)])
            else:
                kinds = opcode.stack_before
                marked = pickletools.markobject in kinds
                begin = marks.pop() - kinds.index(pickletools.markobject) if marked else len(stack) - len(kinds)
                if begin < (marks[-1] if marks else 0):
                    return "a stack out of order"
                parts = stack[begin:]
                # Any number of tuples have one hash: the sum that it is can be turned round.
                if name in ("SETITEM", "SETITEMS") and any(n > 1 for n in parts[1::2]):
                    return "a tuple as a key"
                n = 1 + sum(parts) if "TUPLE" in name else parts[0] if name in _CHANGES else 1
                if n > MAXIMUM_TUPLE:
                    return "tuples too large"
                stack[begin:] = [n] * len(opcode.stack_after)
    # Of a damaged pickle pickletools raises whatever it meets.
    except Exception as error:
        return str(error) or type(error).__name__
    return ""
