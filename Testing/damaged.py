"""Files damaged at random but reproducibly, and what the library says of them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.volume import count_frames, read_volume
from E3PoseLib.models.loading import import_official, load_model
from E3PoseLib.models.model import Model

EXTREMES = [0, 1, -1, 2, 60, 127, 255, 4096, 32767, -32768, 2**31 - 1, -(2**31), 2**62, -(2**63)]
ODD_VALUES = [
    None,
    True,
    "x",
    [],
    {},
    [[]],
    -1,
    0,
    60,
    4096,
    10**9,
    10**30,
    0.02,
    1e-300,
    1e300,
    float("nan"),
    [1] * 1000,
]


def bytes_damaged(content: bytes, rng: np.random.Generator, within: int) -> bytes:
    """A few bytes of the first `within` overwritten, cut out, doubled, or numbers in place of them; or a cut file."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, max(1, min(within, len(damaged)))))
        match rng.integers(0, 7):
            case 0:
                damaged[at : at + 1] = bytes([rng.integers(0, 256)])
            case 1:
                damaged[at : at + 2] = struct.pack("<h", np.clip(rng.choice(EXTREMES[:10]), -(2**15), 2**15 - 1))
            case 2:
                at -= at % 4
                damaged[at : at + 4] = struct.pack(rng.choice(["<i", ">i"]), int(rng.choice(EXTREMES[:12])))
            case 3:
                at -= at % 4
                damaged[at : at + 4] = struct.pack("<f", rng.choice([np.nan, np.inf, -1, 0, 1e30, 1e-30]))
            case 4:
                del damaged[at : at + int(rng.integers(1, 30))]
            case 5:
                damaged[at:at] = damaged[at : at + int(rng.integers(1, 30))]
            case 6 if rng.integers(0, 4) == 0:
                del damaged[int(rng.integers(0, len(damaged) + 1)) :]
    return bytes(damaged)


def json_damaged(document, rng: np.random.Generator):
    """A JSON document with one value replaced by an odd one, somewhere in it."""
    if isinstance(document, dict) and document and rng.integers(0, 8):
        key = str(rng.choice(list(document)))
        return document | {key: json_damaged(document[key], rng)}
    if isinstance(document, list) and document and rng.integers(0, 4):
        index = int(rng.integers(0, len(document)))
        return [*document[:index], json_damaged(document[index], rng), *document[index + 1 :]]
    return ODD_VALUES[int(rng.integers(0, len(ODD_VALUES)))]


def images(folder: Path) -> dict[str, tuple[bytes, int]]:
    """A sound file of each format, and how long its header is."""
    voxels = np.random.default_rng(0).integers(0, 1000, (16, 14, 12)).astype(np.int16)
    affine = np.diag([3.0, 3, 4, 1])
    sound = {}
    for name, kind, within in (
        ("a.nii", nib.Nifti1Image, 352),
        ("b.nii", nib.Nifti2Image, 544),
        ("c.mgh", nib.MGHImage, 100),
    ):
        nib.save(kind(voxels, affine), folder / name)
        sound[name] = ((folder / name).read_bytes(), within)
    for name in ("d.nrrd", "e.mha"):
        try:
            import SimpleITK
        except ImportError:
            continue
        image = SimpleITK.GetImageFromArray(voxels.transpose())
        image.SetSpacing((3, 3, 4))
        for compressed in (False, True):
            SimpleITK.WriteImage(image, str(folder / name), compressed)
            content = (folder / name).read_bytes()
            within = content.index(b"\n\n") + 2 if name.endswith("nrrd") else content.index(b"LOCAL") + 6
            sound[f"{'z' if compressed else ''}{name}"] = (content, within)
    return sound


def damaged_image(sound: dict[str, tuple[bytes, int]], rng: np.random.Generator) -> tuple[str, bytes]:
    """Name and content of a damaged image file."""
    name = str(rng.choice(list(sound)))
    content, within = sound[name]
    damaged = bytes_damaged(content, rng, within)
    if name.endswith((".nii", ".mgh")) and rng.integers(0, 3) == 0:
        damaged = gzip.compress(damaged, 1)
        if rng.integers(0, 4) == 0:
            damaged = bytes_damaged(damaged, rng, len(damaged))
    return name, damaged


def damaged_model(sound: bytes, rng: np.random.Generator) -> bytes:
    """A damaged model file: its bytes, the JSON of the tensors, or that of the model's header."""
    length = struct.unpack("<Q", sound[:8])[0]
    if rng.integers(0, 4) == 0:
        return bytes_damaged(sound, rng, 8 + length)
    tensors = json.loads(sound[8 : 8 + length])
    match rng.integers(0, 4):
        case 0:
            tensors = json_damaged(tensors, rng)
        case 1 if rng.integers(0, 4) == 0:
            tensors["__metadata__"]["e3pose"] = "[" * int(10 ** rng.uniform(1, 6))
        case _:
            header = json_damaged(json.loads(tensors["__metadata__"]["e3pose"]), rng)
            tensors["__metadata__"]["e3pose"] = json.dumps(header)
    head = json.dumps(tensors).encode()
    return struct.pack("<Q", len(head)) + head + sound[8 + length :]


def arrays() -> dict[str, bytes]:
    """What stands in place of the .npy file of a pose, and is none."""
    header, zipped = io.BytesIO(), io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    np.lib.format.write_array_header_1_0(header, claim)
    np.savez(zipped, pose=np.eye(4))
    content = {"huge": header.getvalue() + bytes(100), "zip": zipped.getvalue()}
    for name, array in (
        ("text", np.full((4, 4), "a")),
        ("fields", np.zeros((4, 4), [("a", "f4"), ("b", "f8")])),
        ("complex", np.eye(4) * 1j),
    ):
        stream = io.BytesIO()
        np.save(stream, array)
        content[name] = stream.getvalue()
    content["cut"] = content["complex"][:200].replace(b"<c16", b"<f8 ")
    return content


def checkpoints(model: Model) -> dict[str, bytes]:
    """Sound checkpoints of both networks as the training package writes them."""
    sound = {}
    for name, key, prefix, network, architecture in (
        ("unet.ckpt", "state_dict", "model.", model.segmentation_network, model.header.segmentation),
        ("e3cnn.pth", "net_state_dict", "", model.rotation_network, model.header.rotation),
    ):
        weights = {prefix + part: tensor for part, tensor in network.state_dict().items()}
        stream = io.BytesIO()
        torch.save({key: weights, "architecture": architecture, "epoch": 7, "loss": 0.5}, stream)
        sound[name] = stream.getvalue()
    return sound


def damaged_checkpoint(sound: bytes, rng: np.random.Generator) -> bytes:
    """A damaged checkpoint: its bytes, its pickle in a sound zip file, or entries of it left out or changed."""
    if rng.integers(0, 4) == 0:
        within = len(sound) if rng.integers(0, 2) else 3000
        return bytes_damaged(sound, rng, within)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as before, zipfile.ZipFile(stream, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith("data.pkl") and rng.integers(0, 20):
                content = bytes_damaged(content, rng, len(content))
            elif rng.integers(0, 60) == 0:
                if rng.integers(0, 2):
                    continue
                content = bytes_damaged(content, rng, len(content)) if content else b"x"
            after.writestr(name, content)
    return stream.getvalue()


def try_image(path: Path) -> None:
    count_frames(path)
    read_volume(path, 0).intensities()


def try_model(path: Path) -> None:
    load_model(path)


def try_checkpoint(path: Path, partner: Path) -> None:
    pair = (path, partner) if path.suffix == ".ckpt" else (partner, path)
    import_official(*pair)


def outcome(action: Callable[[], None]) -> tuple[str, float]:
    """ "read", "refused", or the name of an error that must not be; and the seconds that it took."""
    begin = time.perf_counter()
    try:
        action()
        said = "read"
    except E3PoseError:
        said = "refused"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    return said, time.perf_counter() - begin
