"""A small model whose brain is whatever is bright, and bright blobs for it to find."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.models.calibration import Calibration, Sum
from E3PoseLib.models.catalog import ModelHeader
from E3PoseLib.models.model import Model
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.unet.unet import UNet

BY_AXES = Calibration(Sum(6.0, {"axes": -15.0}), Sum(1.0, {"axes": 4.0}), Sum(0.5, {"axes": 3.0}))
"""A calibration made up for tests, which weighs nothing but the concentration of the weakest axis."""

BY_BORDER = Calibration(Sum(6.0, {"border": -20.0}), Sum(1.0, {}), Sum(0.5, {}))
"""Another one, by which every pose is sure but that of a head that the scan may have cut."""


def make_small_model(seed: int = 0) -> Model:
    """Both networks in small: the U-Net's weights are set so that the brain is what is brighter than half, the rotation
    network's are random."""
    unet = _unet_of_brightness([-50.0, 50.0], [25.0, -25.0])
    torch.manual_seed(seed)
    rotation = {"n_levels": 2, "kernel_size": 3, "multiplicity": 1, "lmax": 2, "n_radial": 2}
    header = ModelHeader(
        name="small",
        segmentation={"n_levels": 1, "n_features": 1, "n_classes": 2},
        rotation=rotation,
        spacing_mm=4.0,
        segmentation_edge=48,
        rotation_edge=24,
        thresholds=(0.5, 0.5),
    )
    return Model(unet, E3CNN(**rotation), header)


def make_model_with_eyes(seed: int = 0) -> Model:
    """The small model with a network for the eyes, for which they are what is brighter than nine tenths, and the brain
    what is brighter than a quarter."""
    model = make_small_model(seed)
    network = _unet_of_brightness([0.0, 50.0, 150.0], [0.0, -12.5, -102.5])
    architecture = {"n_levels": 1, "n_features": 1, "n_classes": 3}
    header = replace(model.header, eyes=architecture, eyes_edge=40)
    return Model(model.segmentation_network, model.rotation_network, header, network)


def make_model_with_upright_eyes(seed: int = 0) -> Model:
    """The same, and the eyes looked for by another such network, which sees the head upright."""
    model = make_model_with_eyes(seed)
    header = replace(model.header, upright=model.header.eyes, upright_edge=40)
    eyes = model.eyes_network
    return Model(model.segmentation_network, model.rotation_network, header, eyes, copy.deepcopy(eyes))


def make_model_with_brain_only_network(seed: int = 0, other_seed: int = 1) -> Model:
    """The small model with a second rotation network, of another seed, for brains without skull."""
    model = make_small_model(seed)
    header = replace(model.header, brain_only=model.header.rotation)
    other = make_small_model(other_seed).rotation_network
    return Model(model.segmentation_network, model.rotation_network, header, brain_only_network=other)


def make_model_with_second_opinion(seed: int = 0, other_seed: int = 1) -> Model:
    """The small model, and one of another seed as its second opinion."""
    model = make_small_model(seed)
    second = make_small_model(other_seed)
    return Model(model.segmentation_network, model.rotation_network, model.header, second_opinion=second)


def _unet_of_brightness(slopes: list[float], offsets: list[float]) -> UNet:
    """A U-Net whose logit of each class is a linear function of the voxel's intensity."""
    unet = UNet(n_levels=1, n_features=1, n_classes=len(slopes))
    with torch.no_grad():
        for convolution in (unet.list_encoder_blocks[0][0], unet.list_encoder_blocks[0][2]):
            convolution.weight.zero_()
            convolution.weight[0, 0, 1, 1, 1] = 1
            convolution.bias.zero_()
        unet.last_conv.weight[:, 0, 0, 0, 0] = torch.tensor(slopes)
        unet.last_conv.bias.copy_(torch.tensor(offsets))
    return unet


def make_head(shape=(40, 44, 36), spacing=(4.0, 4.0, 4.0), seed: int = 0, centre=(10.0, -20.0, 30.0)) -> Volume:
    """A scan of a bright, lopsided, smooth blob at a known place (RAS mm), on oblique voxels."""
    generator = torch.Generator().manual_seed(seed)
    rotation = random_rotations(1, generator, torch.float64)[0].numpy()
    middle = (np.array(shape) - 1) / 2
    voxel_to_ras = rigid(rotation, centre) @ np.diag([*spacing, 1.0]) @ rigid(np.eye(3), -middle)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    mm = (index - middle) * spacing
    array = np.exp(-((mm[..., 0] / 40) ** 2) - (mm[..., 1] / 50) ** 2 - (mm[..., 2] / 30) ** 2)
    for _ in range(3):
        where = 25 * torch.randn(3, generator=generator).numpy()
        array += 0.2 * np.exp(-(((mm - where) / 15) ** 2).sum(axis=-1))
    return Volume((1000 * array).astype(np.int16), voxel_to_ras, name="blob")
