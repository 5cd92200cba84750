"""Reading the tensors of a PyTorch checkpoint without `torch.load`: nothing in the file can run or take memory at will.

A checkpoint is a zip file with a pickle of its structure and one entry of raw numbers for each storage. The pickle is
checked opcode by opcode, then read by an unpickler that knows tensors and containers and nothing else.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

from ..errors import ModelError
from .opcodes import unsafe

MAXIMUM_FILE_BYTES = 2**30
MAXIMUM_PICKLE_BYTES = 2**21
"""Of the structure without the numbers; that of the official networks has 71 kB."""

MAXIMUM_CONTENTS = 200_000
"""Values and characters, each as often as it stands there; the official networks have 34 thousand."""

MAXIMUM_DEPTH = 20
"""Of containers within containers; those of a genuine file nest a few deep."""

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
    if problem := unsafe(document):
        raise ModelError(
            f"{path}: damaged, or holds more than weights ({problem}), and code from a file is never run; give a file "
            "of weights alone"
        )
    try:
        return _Contents().plain(_Unpickler(document, archive, prefix).load())[0]
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


class _Sealed:
    """What the unpickler hands out: the file cannot change it, as BUILD would have a tensor see any memory.

    Nor can it be a key.
    """

    __slots__ = ("content",)
    __hash__ = None  # type: ignore[assignment]  # as Python documents it

    def __init__(self, content: Any) -> None:
        self.content = content

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a state of what has none")


class _StorageType(_Sealed):
    """The type of a storage's numbers."""


class _Storage(_Sealed):
    """The numbers of a storage, one-dimensional."""


class _Tensor(_Sealed):
    """A tensor."""


class _Size(_Sealed):
    """The shape of a tensor, a tuple."""


class _Function(_Sealed):
    """What makes a value."""

    def __call__(self, *arguments: Any) -> Any:
        return self.content(*arguments)


class _OrderedDict(dict):
    """An ordered dict without the state, versions of modules, that PyTorch gives that of a network's weights."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


def _ordered(*contents: Any) -> _OrderedDict:
    """An empty one, as `torch.save` has it filled afterwards: a copy of a dict would need five bytes of the file."""
    if contents:
        raise pickle.UnpicklingError("an ordered dict of another kind")
    return _OrderedDict()


class _Contents:
    """What was read, with plain dicts and tensors; not what nests without end or writes out to more than is there."""

    def __init__(self) -> None:
        self._counted: dict[int, tuple[Any, int]] = {}

    def plain(self, value: Any, depth: int = 0) -> tuple[Any, int]:
        """A value, and how many values and characters it writes out to."""
        # What stands in many places is looked at once.
        if id(value) not in self._counted:
            plain, n = self._plain(value, depth)
            if n > MAXIMUM_CONTENTS:
                raise pickle.UnpicklingError("contents without end")
            self._counted[id(value)] = plain, n
        return self._counted[id(value)]

    def _plain(self, value: Any, depth: int) -> tuple[Any, int]:
        if depth > MAXIMUM_DEPTH:
            raise pickle.UnpicklingError("contents without end")
        if isinstance(value, _Tensor):
            return value.content, 1
        if isinstance(value, _Size):
            return value.content, 1 + len(value.content)
        if isinstance(value, str):
            return value, 1 + len(value)
        if value is None or isinstance(value, (bool, int, float)):
            return value, 1
        if isinstance(value, dict):
            if not all(isinstance(key, (str, int)) for key in value):
                raise pickle.UnpicklingError("a dict of other keys than words and numbers")
            items = [self.plain(one, depth + 1) for one in value.values()]
            n = 1 + sum(self.plain(key, depth)[1] for key in value)
            return dict(zip(value, (one for one, _ in items), strict=True)), n + sum(each for _, each in items)
        if isinstance(value, (list, tuple)):
            items = [self.plain(one, depth + 1) for one in value]
            return type(value)(one for one, _ in items), 1 + sum(each for _, each in items)
        raise pickle.UnpicklingError(f"a {type(value).__name__.strip('_')}")


class _Unpickler(pickle.Unpickler):
    """Knows ordered dicts, sizes and tensors; their numbers come from the entries of the zip file."""

    def __init__(self, document: bytes, archive: ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(document))
        self._archive = archive
        self._prefix = prefix
        self._storages: dict[str, _Storage] = {}
        self._bytes_left = MAXIMUM_FILE_BYTES
        names = archive.namelist()
        order = _entry(archive, f"{prefix}byteorder", 16) if f"{prefix}byteorder" in names else b"little"
        self._swapped = order.decode("ascii", "replace").strip() != sys.byteorder

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        known = {
            ("collections", "OrderedDict"): _ordered,
            ("torch", "Size"): lambda numbers: _Size(_shape(numbers)),
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _Function(known[module, name])

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, n = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or not re.fullmatch(r"\w{1,40}", key):
            raise pickle.UnpicklingError("a storage of another kind")
        if key in self._storages:
            return self._storages[key]
        dtype = storage_type.content
        if type(n) is not int:
            raise pickle.UnpicklingError("a storage of another kind")
        if not 0 <= n * dtype.itemsize <= self._bytes_left:
            raise ValueError(f"a storage of {n} numbers")
        content = bytearray(_entry(self._archive, f"{self._prefix}data/{key}", self._bytes_left))
        if len(content) != n * dtype.itemsize:
            raise ValueError(f"{len(content)} bytes for {n} numbers of {dtype}")
        self._bytes_left -= len(content)
        if self._swapped and content:
            as_items = torch.frombuffer(content, dtype=torch.uint8).view(-1, dtype.itemsize)
            content = bytearray(as_items.flip(1).contiguous().numpy().tobytes())
        storage = _Storage(torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype))
        self._storages[key] = storage
        return storage

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
        """A view of a storage that stays within it and has no more numbers."""
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor of another kind")
        size, stride, (offset,) = _shape(size), _shape(stride), _shape((offset,))
        if len(size) != len(stride):
            raise ValueError(f"a tensor of shape {size} with strides {stride}")
        numbers = storage.content
        n = 1
        for edge in size:
            n *= edge
        last = offset + sum((edge - 1) * step for edge, step in zip(size, stride, strict=True))
        if n > numbers.numel() or (n and last >= numbers.numel()):
            raise ValueError(f"a tensor of shape {size} in a storage of {numbers.numel()} numbers")
        return _Tensor(torch.as_strided(numbers, size, stride, offset) if n else torch.empty(size, dtype=numbers.dtype))

    def _parameter(self, tensor: Any, *_: Any) -> _Tensor:
        if not isinstance(tensor, _Tensor):
            raise pickle.UnpicklingError("a parameter of another kind")
        return tensor


def _shape(numbers: Any) -> tuple[int, ...]:
    """A shape, or strides; what it is instead is not told, as that may be endless."""
    if not isinstance(numbers, tuple) or len(numbers) > 8 or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a shape of another kind")
    return numbers
