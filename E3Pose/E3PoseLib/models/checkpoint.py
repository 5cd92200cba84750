"""Reading the tensors of a PyTorch checkpoint without `torch.load`: nothing in the file can run or take memory at will.

A checkpoint is a zip file with a pickle of its structure and one entry of raw numbers for each storage. The pickle is
checked opcode by opcode, then read by an unpickler that knows tensors and containers and nothing else.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import re
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

from ..errors import ModelError

MAXIMUM_FILE_BYTES = 2**30
MAXIMUM_PICKLE_BYTES = 2**21
"""Of the structure without the numbers; that of the official networks has 71 kB."""

MAXIMUM_TUPLES = 10_000
"""Tuples within tuples are hashed by recursion."""

# fmt: off
_OPCODES = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINPUT",
    "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1",
    "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS",
))
# fmt: on
"""What `torch.save` writes for tensors, containers, text and numbers."""

_PUTS = ("BINPUT", "LONG_BINPUT")
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_checkpoint(path: str | os.PathLike) -> Any:
    """The contents of a checkpoint: dicts, lists, tuples, text, numbers and tensors.

    Parameters
    ----------
    path : path-like
        As ``torch.save`` has written since PyTorch 1.6.

    Raises
    ------
    ModelError
        If the file is missing, damaged, too large, or holds anything else.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAXIMUM_FILE_BYTES:
            raise ModelError(
                f"{path}: a checkpoint of {size} bytes is too large; at most {MAXIMUM_FILE_BYTES} are read"
            )
        with ZipFile(path) as archive:
            return _read(archive, path)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except BadZipFile as error:
        raise ModelError(
            f"{path}: damaged, or not a zip file as PyTorch writes checkpoints since 1.6. Other pickles may hold code, "
            "and code from a file is never run: copy it again, or save it anew with torch.save"
        ) from error
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, MemoryError) as error:
        raise ModelError(f"{path}: damaged or cut short ({error}); copy it again") from error


def _read(archive: ZipFile, path: Path) -> Any:
    structures = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(structures) != 1:
        raise ModelError(f"{path}: a zip file, but not a PyTorch checkpoint")
    prefix = structures[0].removesuffix("data.pkl")
    document = _entry(archive, structures[0], MAXIMUM_PICKLE_BYTES)
    unsafe = _unsafe(document)
    if unsafe:
        raise ModelError(
            f"{path}: damaged, or holds more than weights ({unsafe}), and code from a file is never run; give a file "
            "of weights alone"
        )
    try:
        return _Unpickler(document, archive, prefix).load()
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: damaged, or holds more than weights ({error}), and code from a file is never run; give a file of "
            "weights alone"
        ) from error
    # Of a damaged pickle whatever Python's unpickler meets in it.
    except Exception as error:
        raise ModelError(f"{path}: damaged ({type(error).__name__}: {error}); copy it again") from error


def _entry(archive: ZipFile, name: str, limit: int) -> bytes:
    """The bytes of an entry; PyTorch does not compress, so it cannot be larger than the file.

    Raises
    ------
    ValueError
        If it is compressed or larger than the limit.
    """
    info = archive.getinfo(name)
    if info.compress_type != ZIP_STORED or info.file_size != info.compress_size or info.file_size > limit:
        raise ValueError(f"entry {name} is compressed or too large")
    return archive.read(info)


def _unsafe(document: bytes) -> str:
    """What in a pickle is not to be read; "" if nothing."""
    n_tuples = n_opcodes = 0
    try:
        for opcode, argument, _ in pickletools.genops(document):
            n_opcodes += 1
            n_tuples += opcode.name.startswith("TUPLE")
            if opcode.name not in _OPCODES:
                return f"opcode {opcode.name}"
            # The unpickler makes room for the largest number at once.
            if opcode.name in _PUTS and int(argument or 0) > n_opcodes:
                return "a memo out of order"
            if n_tuples > MAXIMUM_TUPLES:
                return "too many tuples"
    # Of a damaged pickle pickletools raises whatever it meets.
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


class _StorageType:
    """The type of a storage's numbers."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _Unpickler(pickle.Unpickler):
    """Knows ordered dicts, sizes and tensors; their numbers come from the entries of the zip file."""

    def __init__(self, document: bytes, archive: ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(document))
        self._archive = archive
        self._prefix = prefix
        self._storages: dict[str, torch.Tensor] = {}
        self._bytes_left = MAXIMUM_FILE_BYTES
        names = archive.namelist()
        order = _entry(archive, f"{prefix}byteorder", 16) if f"{prefix}byteorder" in names else b"little"
        self._swapped = order.decode("ascii", "replace").strip() != sys.byteorder

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The numbers of a storage, one-dimensional."""
        kind, storage_type, key, _, n = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or not re.fullmatch(r"\w{1,40}", key):
            raise pickle.UnpicklingError("a storage of another kind")
        if key in self._storages:
            return self._storages[key]
        dtype = storage_type.dtype
        if type(n) is not int or not 0 <= n * dtype.itemsize <= self._bytes_left:
            raise ValueError(f"a storage of {n} numbers")
        content = bytearray(_entry(self._archive, f"{self._prefix}data/{key}", self._bytes_left))
        if len(content) != n * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes for {n} numbers of {dtype}")
        self._bytes_left -= len(content)
        if self._swapped and content:
            as_items = torch.frombuffer(content, dtype=torch.uint8).view(-1, dtype.itemsize)
            content = bytearray(as_items.flip(1).contiguous().numpy().tobytes())
        storage = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        self._storages[key] = storage
        return storage

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> torch.Tensor:
        """A view of a storage that stays within it and has no more numbers."""
        if not isinstance(storage, torch.Tensor) or not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise pickle.UnpicklingError("a tensor of another kind")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or len(size) > 8 or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError(f"a tensor of shape {size} with strides {stride}")
        n = 1
        for edge in size:
            n *= edge
        last = offset + sum((edge - 1) * step for edge, step in zip(size, stride, strict=True))
        if n > storage.numel() or (n and last >= storage.numel()):
            raise ValueError(f"a tensor of shape {size} in a storage of {storage.numel()} numbers")
        return torch.as_strided(storage, size, stride, offset) if n else torch.empty(size, dtype=storage.dtype)

    def _parameter(self, tensor: Any, *_: Any) -> torch.Tensor:
        if not isinstance(tensor, torch.Tensor):
            raise pickle.UnpicklingError("a parameter of another kind")
        return tensor
