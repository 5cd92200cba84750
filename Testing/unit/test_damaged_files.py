"""Damaged files are read as what they say, or refused in words; benchmarks/damaged_files.py tries thousands of them."""

import dataclasses
import io
import json
import logging
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
from damaged import (
    checkpoints,
    damaged_checkpoint,
    damaged_image,
    damaged_model,
    images,
    outcome,
    try_checkpoint,
    try_image,
    try_model,
)

from E3PoseLib.errors import ModelError
from E3PoseLib.models.catalog import read_header
from E3PoseLib.models.checkpoint import read_checkpoint
from E3PoseLib.models.limits import problem_of_header
from E3PoseLib.models.loading import load_model

N = 120
SECONDS = 10


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)  # nibabel says what it corrects
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_images(tmp_path):
    sound = images(tmp_path)
    said = []
    for index in range(3 * N):
        name, content = damaged_image(sound, np.random.default_rng([7, index]))
        (tmp_path / name).write_bytes(content)
        said.append(outcome(partial(try_image, tmp_path / name)))
    assert {result for result, _ in said} == {"read", "refused"}
    assert max(seconds for _, seconds in said) < SECONDS


def test_damaged_models(small_model_file, tmp_path):
    sound = small_model_file.read_bytes()
    # Hardly any damage is harmless: that a model can be read is seen by the sound one.
    said = [outcome(partial(try_model, small_model_file))]
    assert said[0][0] == "read"
    for index in range(N):
        (tmp_path / "damaged.safetensors").write_bytes(damaged_model(sound, np.random.default_rng([7, index])))
        said.append(outcome(partial(try_model, tmp_path / "damaged.safetensors")))
    assert {result for result, _ in said} == {"read", "refused"}
    assert max(seconds for _, seconds in said) < SECONDS


def test_damaged_checkpoints(small_model, tmp_path):
    sound = checkpoints(small_model)
    for name, content in sound.items():
        (tmp_path / f"sound-{name}").write_bytes(content)
    said = []
    for index in range(N):
        name, other = [("unet.ckpt", "e3cnn.pth"), ("e3cnn.pth", "unet.ckpt")][index % 2]
        (tmp_path / name).write_bytes(damaged_checkpoint(sound[name], np.random.default_rng([7, index])))
        said.append(outcome(partial(try_checkpoint, tmp_path / name, tmp_path / f"sound-{other}")))
    assert {result for result, _ in said} == {"read", "refused"}
    assert max(seconds for _, seconds in said) < SECONDS


def with_header(sound: bytes, change) -> bytes:
    length = struct.unpack("<Q", sound[:8])[0]
    tensors = json.loads(sound[8 : 8 + length])
    header = json.loads(tensors["__metadata__"]["e3pose"])
    changed = change(header)
    tensors["__metadata__"]["e3pose"] = changed if isinstance(changed, str) else json.dumps(changed)
    head = json.dumps(tensors).encode()
    return struct.pack("<Q", len(head)) + head + sound[8 + length :]


def deep(header):
    header["segmentation"]["n_levels"] = 60
    return header


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (deep, "n_levels 60 is no whole number from 1 to 7"),
        (lambda header: header | {"spacing_mm": 0.02}, "spacing_mm 0.02 is no number from 1 to 20"),
        (lambda header: header | {"segmentation_edge": 4096}, "segmentation_edge 4096 is out of range"),
        (lambda header: header | {"rotation_edge": "64"}, "rotation_edge '64' is no whole number"),
        (lambda header: header | {"views": True}, "views True is no whole number"),
        (lambda header: header | {"views": 64, "rotation_edge": 128}, "64 views of 128 voxels an edge are too many"),
        (lambda header: header | {"views": 9, "rotation_edge": 128}, "9 views of 128 voxels an edge are too many"),
        (lambda header: header | {"views": 64, "rotation_edge": 65}, "64 views of 65 voxels an edge are too many"),
        (lambda header: header | {"thresholds": [0.9, None]}, "thresholds"),
        (lambda header: header | {"rotation": header["rotation"] | {"multiplicity": 10**6}}, "multiplicity"),
        (lambda header: header | {"second_opinion": "yes"}, "second_opinion 'yes' is neither true nor false"),
        (lambda header: header | {"brain_only": {"multiplicity": 10**6}}, "brain_only: multiplicity"),
        (lambda header: header | {"segmentation": [1]}, "segmentation: the U-Net's arguments are no dict"),
        (lambda header: header | {"segmentation": {"n_levels": 7, "n_features": 16}}, "the file has"),
        (lambda header: header | {"name": 7}, "name is no text"),
        (lambda header: "[" * 100_000, "header is damaged"),
        (lambda header: "7", "header is damaged"),
    ],
)
def test_what_a_model_asks_for_is_bounded_before_it_is_built(small_model_file, tmp_path, change, words):
    path = tmp_path / "asking.safetensors"
    path.write_bytes(with_header(small_model_file.read_bytes(), change))
    with pytest.raises(ModelError, match=rf"asking\.safetensors.*{words}"):
        load_model(path)
    if "the file has" not in words:
        with pytest.raises(ModelError, match=words):
            read_header(path)


@pytest.mark.parametrize(("views", "edge"), [(0, 128), (2, 128), (8, 128), (8, 96), (24, 64), (64, 64), (64, 40)])
def test_many_views_or_large_ones_are_admitted(views, edge):
    assert problem_of_header({"views": views, "rotation_edge": edge}) == ""


def test_the_models_that_there_are_ask_for_half_of_what_they_may_at_most(official_model):
    for header in (read_header("default"), official_model.header):
        document = dataclasses.asdict(header)
        assert problem_of_header(document | {"views": 2 * max(header.views, 1)}) == ""


def zipped(path, document: bytes, *entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", document)
        for name, content in entries:
            archive.writestr(f"archive/{name}", content)
    return path


def test_a_checkpoint_is_read_as_torch_reads_it(reference, tmp_path):
    for name in ("unet.ckpt", "e3cnn.pth"):
        ours, theirs = read_checkpoint(reference / name), torch.load(reference / name, weights_only=True)
        assert ours.keys() == theirs.keys()
        key = "state_dict" if name == "unet.ckpt" else "net_state_dict"
        for part, tensor in theirs[key].items():
            torch.testing.assert_close(ours[key][part], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_of_every_type_and_view(tmp_path, protocol):
    storage = torch.arange(24.0)
    document = OrderedDict(
        view=storage.view(4, 6).T[1:4],
        same=storage,
        none=torch.empty(0, 3),
        scalar=torch.tensor(7),
        parameter=torch.nn.Parameter(torch.ones(2)),
        shape=torch.Size([1, 2]),
        words=["čeština", None, True, -5, 2**40, 0.25, (1, (2,))],
    )
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int16, torch.uint8, torch.bool):
        document[str(dtype)] = torch.tensor([0, 1, 1]).to(dtype)
    torch.save(document, tmp_path / "all.pth", pickle_protocol=protocol)
    read = read_checkpoint(tmp_path / "all.pth")
    for name, value in document.items():
        if isinstance(value, torch.Tensor):
            assert read[name].dtype == value.dtype
            torch.testing.assert_close(read[name], value.detach(), rtol=0, atol=0)
        else:
            assert read[name] == value
    assert read["view"].data_ptr() - read["same"].data_ptr() == 4


def test_what_torch_once_wrote_is_refused_in_words(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match=r"old\.pth.*since 1\.6.*save it anew"):
        read_checkpoint(tmp_path / "old.pth")


class _Reduces:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "value",
    [
        _Reduces(os.system, ("true",)),
        _Reduces(eval, ("1",)),
        _Reduces(getattr, ("text", "format")),
        _Reduces(torch.load, ("other.pth",)),
        _Reduces(torch.empty, (10**9,)),
        _Reduces(bytearray, (10**9,)),
        {1, 2},
        b"bytes",
    ],
)
def test_nothing_but_weights_is_ever_made(tmp_path, value):
    path = zipped(tmp_path / "trap.pth", pickle.dumps({"state_dict": value}, protocol=2))
    with pytest.raises(ModelError, match=r"trap\.pth.*code from a file is never run"):
        read_checkpoint(path)


def rebuilt(storage: str, n: int, offset: int, size: tuple, stride: tuple) -> bytes:
    """A pickle of one tensor, whatever it claims."""

    class _Pickler(pickle._Pickler):
        def persistent_id(self, value):
            return value.pid if isinstance(value, _Storage) else None

    class _Storage:
        pid = ("storage", getattr(torch, storage), "0", "cpu", n)

    stream = io.BytesIO()
    document = _Reduces(torch._utils._rebuild_tensor_v2, (_Storage(), offset, size, stride, False, OrderedDict()))
    _Pickler(stream, 2).dump(document)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("claim", "content"),
    [
        (("FloatStorage", 10**12, 0, (1,), (1,)), bytes(16)),
        (("FloatStorage", 4, 0, (10**6, 10**6), (0, 0)), bytes(16)),
        (("FloatStorage", 4, 3, (2,), (1,)), bytes(16)),
        (("FloatStorage", 4, 0, (2, 2), (1, 10**9)), bytes(16)),
        (("FloatStorage", 4, -1, (2,), (1,)), bytes(16)),
        (("FloatStorage", 4, 0, (2,), (1,)), bytes(15)),
    ],
)
def test_tensors_stay_within_their_storage(tmp_path, claim, content):
    path = zipped(tmp_path / "claims.pth", rebuilt(*claim), ("data/0", content))
    with pytest.raises(ModelError, match=r"claims\.pth: damaged"):
        read_checkpoint(path)
    sound = zipped(tmp_path / "sound.pth", rebuilt("FloatStorage", 4, 1, (3,), (1,)), ("data/0", bytes(16)))
    assert read_checkpoint(sound).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "document",
    [
        b"\x80\x02}r\xff\xff\xff\x7f.",  # a memo of two thousand million places
        b"\x80\x02)" + b"\x85" * 1_000_000 + b".",  # a tuple in a tuple in a tuple …
        b"\x80\x02\x8b\xff\xff\xff\x7f.",  # an integer of two thousand million bytes
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x02(" * 10_000,
        b"",
    ],
)
def test_pickles_that_would_exhaust_python_are_refused(tmp_path, document):
    with pytest.raises(ModelError, match=r"bomb\.pth"):
        read_checkpoint(zipped(tmp_path / "bomb.pth", document))


def test_compressed_entries_are_refused(tmp_path):
    document = rebuilt("FloatStorage", 10**7, 0, (10**7,), (1,))
    path = zipped(tmp_path / "bomb.pth", document, ("data/0", bytes(4 * 10**7)), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match=r"bomb\.pth: damaged .*compressed"):
        read_checkpoint(path)


def test_half_precision_in_the_file_is_float32_in_the_network(small_model, tmp_path):
    small_model.save(tmp_path / "half.safetensors", torch.float16)
    small_model.save(tmp_path / "whole.safetensors")
    half = load_model(tmp_path / "half.safetensors")
    whole, halved = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    weights = [weight for network in small_model.networks.values() for weight in network.state_dict().values()]
    assert whole - halved == pytest.approx(2 * sum(one.numel() for one in weights if one.ndim > 1), abs=500)  # header
    for part, network in half.networks.items():
        for name, weight in network.state_dict().items():
            full = small_model.networks[part].state_dict()[name]
            assert weight.dtype == full.dtype
            expected = full.half().to(full.dtype) if full.ndim > 1 else full
            torch.testing.assert_close(weight, expected, rtol=0, atol=0)
