"""Checkpoints of a few hundred bytes that ask for more time, memory or numbers than they have are refused at once."""

import struct
import time
import tracemalloc
import zipfile

import pytest

from E3PoseLib.errors import ModelError
from E3PoseLib.models.checkpoint import read_checkpoint
from E3PoseLib.models.loading import import_official

LEVELS = 60


# Each holds the one before it twice: 2 to the power of `LEVELS` leaves.
TUPLES = b")q\x00" + b"".join(b"h%c\x86q%c" % (level, level + 1) for level in range(LEVELS))
LISTS = b"]]q\x00a" + b"".join(b"]q%c(h%ch%cea" % (level + 1, level, level) for level in range(LEVELS))
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("


def tensor(size: bytes, stride: bytes = b")", n: int = 1) -> bytes:
    return REBUILD + STORAGE % n + b"K\x00" + size + stride + b"tR"


def changed(n: int, shape: bytes, stride: bytes) -> bytes:
    """A tensor of `n` numbers whose state the file then sets."""
    return tensor(b"K%c\x85" % n, b"K\x01\x85", n) + b"(" + STORAGE % n + b"K\x00" + shape + stride + b"tb"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def checkpoint(path, content: bytes, numbers: bytes = bytes(4)):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content + b".")
        archive.writestr("archive/data/0", numbers)
    return path


def of_one_hash(n: int) -> list[tuple[int, int]]:
    """Pairs of numbers which Python 3.8 and later give one hash: its sum over a tuple is turned round."""
    first, second, begin, bits = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64 - 1
    wanted, turned_round = 12345678901234567, pow(second, -1, 2**64)
    pairs = []
    for one in range(10 * n):
        summed = (begin + one * second) & bits
        summed = ((summed << 31 | summed >> 33) * first) & bits
        other = ((wanted - summed) * turned_round) & bits
        # Larger numbers are no hash of their own; negative ones are no size.
        if other < 2**61 - 1:
            pairs.append((one, other))
    assert len({hash(pair) for pair in pairs}) == 1
    return pairs[:n]


def numbers_of(pair: tuple[int, int]) -> bytes:
    return b"J" + struct.pack("<i", pair[0]) + b"\x8a\x08" + struct.pack("<q", pair[1])


MILLION = b"J" + struct.pack("<i", 10**6)
PAIRS = [numbers_of(pair) for pair in of_one_hash(20_000)]


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        (b"}" + TUPLES + b"Ns", bytes(4)),
        (b"}" + text("a") + LISTS + b"s", bytes(4)),
        (b"]q\x00h\x00a", bytes(4)),
        (tensor(TUPLES), bytes(4)),
        (tensor(LISTS + b"\x85", b"K\x01\x85"), bytes(4)),
        (tensor(b")", b")").replace(b"K\x01tQ", LISTS + b"tQ"), bytes(4)),
        (b"ctorch\nSize\n" + LISTS + b"\x85R", bytes(4)),
        (b"ccollections\nOrderedDict\n(]" + TUPLES + b"N\x86a\x85R", bytes(4)),
        (
            b"}" + b"".join(b"\x8a\xff" + ((2**61 - 1) << k).to_bytes(255, "little") + b"Ns" for k in range(100, 105)),
            bytes(4),
        ),
        (b"}(" + b"".join(pair + b"\x86N" for pair in PAIRS) + b"u", bytes(4)),
        (b"ctorch\nSize\nq\x00}(" + b"".join(b"h\x00" + pair + b"\x86\x85RN" for pair in PAIRS) + b"u", bytes(4)),
        (changed(1, MILLION + MILLION + b"\x86", b"K\x00K\x00\x86"), bytes(4)),
        (changed(0, b"J" + struct.pack("<i", 2**30) + b"\x85", b"K\x01\x85"), b""),
        (b"ctorch\nFloatStorage\nN}" + text("dtype") + b"Ns\x86b", bytes(4)),
    ],
    ids=[
        "tuples as a key",
        "lists",
        "a list in itself",
        "tuples as a shape",
        "lists in a shape",
        "lists as a storage's length",
        "lists as a size",
        "tuples as a key of an ordered dict",
        "keys of one hash",
        "tuples of one hash",
        "sizes of one hash",
        "a tensor's state",
        "an empty tensor's state",
        "a storage type's state",
    ],
)
def test_a_small_checkpoint_takes_no_time_and_no_memory(tmp_path, content, numbers):
    path = checkpoint(tmp_path / "small.ckpt", content, numbers)
    begin = time.perf_counter()
    with pytest.raises(ModelError, match=r"small\.ckpt: damaged"):
        read_checkpoint(path)
    assert time.perf_counter() - begin < 1


def test_copies_of_a_dict_take_no_memory(tmp_path):
    one = b"}(" + b"".join(b"M" + struct.pack("<H", key) + b"N" for key in range(5000)) + b"uq\x00"
    copies = b"](" + one + b"ccollections\nOrderedDict\nq\x01" + b"h\x01h\x00\x85R" * 400 + b"e"
    path = checkpoint(tmp_path / "small.ckpt", copies)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"small\.ckpt: damaged.*an ordered dict of another kind"):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_an_architecture_of_lists_within_lists_is_refused_in_words(reference, tmp_path):
    architecture = b"}" + text("n_levels") + LISTS + b"s"
    content = b"}(" + text("state_dict") + b"}" + text("architecture") + architecture + b"u"
    path = checkpoint(tmp_path / "small.ckpt", content)
    begin = time.perf_counter()
    with pytest.raises(ModelError, match=r"small\.ckpt: damaged"):
        import_official(path, reference / "e3cnn.pth")
    assert time.perf_counter() - begin < 1


def test_a_tensor_of_that_form_is_read(tmp_path):
    path = checkpoint(tmp_path / "sound.ckpt", tensor(b"K\x01\x85", b"K\x01\x85"), struct.pack("<f", 2.5))
    assert read_checkpoint(path).tolist() == [2.5]
