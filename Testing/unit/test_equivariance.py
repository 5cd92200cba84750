"""The symmetry laws of the rotation network and of its layers."""

import numpy as np
import pytest
import torch
from nibabel.orientations import apply_orientation
from plain_e3nn import PlainE3CNN
from scipy.ndimage import affine_transform
from storages import orientations, signed_permutation

from E3PoseLib.equivariant.basis import lattice
from E3PoseLib.equivariant.convolution import SteerableConvolution
from E3PoseLib.equivariant.gate import Gate
from E3PoseLib.equivariant.network import E3CNN, pool_axes
from E3PoseLib.equivariant.pooling import NormMaxPool
from E3PoseLib.rotations import geodesic_angle, orthonormalise, random_rotations


def smooth_volume(edge: int, seed: int = 0, n_blobs: int = 12) -> np.ndarray:
    """A lopsided cloud of blobs that vanishes well before the border."""
    generator = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), axis=-1) - (edge - 1) / 2
    volume = np.zeros((edge,) * 3)
    for _ in range(n_blobs):
        centre = generator.normal(scale=edge / 10, size=3)
        volume += generator.uniform(0.3, 1) * np.exp(-(((index - centre) / (edge / 14)) ** 2).sum(axis=-1))
    return (volume / volume.max()).astype(np.float32)


def axes_of(network: E3CNN, volumes: list[np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack(volumes))[:, None]).reshape(-1, 3, 3).double().numpy()


def law_error(network: E3CNN, volume: np.ndarray, orientation: np.ndarray, axes: np.ndarray) -> float:
    """How far the axes of the turned volume are from the turned axes, relative to the largest of them."""
    turn = signed_permutation(orientation)
    expected = axes @ turn.T
    expected[0] *= np.linalg.det(turn)
    turned = axes_of(network, [np.ascontiguousarray(apply_orientation(volume, orientation))])[0]
    return max(np.abs(turned - expected).max(axis=1) / np.linalg.norm(expected, axis=1))


@pytest.fixture(scope="module")
def network() -> E3CNN:
    torch.manual_seed(0)
    network = E3CNN(n_levels=2, multiplicity=1).eval().requires_grad_(False)
    network.freeze()
    return network


def test_axes_follow_all_48_signed_permutations(network):
    volume = smooth_volume(24)
    axes = axes_of(network, [volume])[0]
    errors = [law_error(network, volume, orientation, axes) for orientation in orientations()]
    assert len(errors) == 48 and max(errors) < 1e-3


def test_official_weights_follow_the_24_rotations(official_model):
    network = official_model.rotation_network
    volume = smooth_volume(16)
    axes = axes_of(network, [volume])[0]
    errors = {bool(np.linalg.det(signed_permutation(orientation)) > 0): [] for orientation in orientations()}
    for orientation in orientations():
        proper = bool(np.linalg.det(signed_permutation(orientation)) > 0)
        errors[proper].append(law_error(network, volume, orientation, axes))
    assert len(errors[True]) == 24 and max(errors[True]) < 1e-3
    # Their pooling takes the signed maximum of odd scalars, so under reflections their law holds only roughly.
    assert max(errors[False]) > 1e-3


def test_axes_follow_arbitrary_rotations_of_a_smooth_volume(network, capsys):
    edge = 48
    volume = smooth_volume(edge)
    middle = np.full(3, (edge - 1) / 2)
    rotations = random_rotations(8, torch.Generator().manual_seed(5), torch.float64).numpy()
    turned = [
        affine_transform(volume, rotation.T, middle - rotation.T @ middle, order=3).astype(np.float32)
        for rotation in rotations
    ]
    axes = axes_of(network, [volume])[0]
    frames = orthonormalise(torch.from_numpy(axes_of(network, turned)))
    expected = orthonormalise(torch.from_numpy(axes @ np.swapaxes(rotations, 1, 2)))
    errors = geodesic_angle(frames.mT, expected.mT)
    with capsys.disabled():
        print(f"\narbitrary rotations of a smooth volume: mean {errors.mean():.2f}°, largest {errors.max():.2f}°")
    assert errors.mean() <= 3


def test_it_computes_what_plain_e3nn_computes(network):
    volume = torch.from_numpy(np.stack([smooth_volume(16, seed) for seed in (0, 1)]))[:, None]
    with torch.inference_mode():
        plain = PlainE3CNN(network).eval()(volume)
        torch.testing.assert_close(network(volume), plain, rtol=1e-4, atol=1e-4)


def test_a_batch_is_its_samples(network):
    volumes = [smooth_volume(16, seed) for seed in range(3)]
    together = axes_of(network, volumes)
    for volume, axes in zip(volumes, together, strict=True):
        np.testing.assert_allclose(axes_of(network, [volume])[0], axes, rtol=1e-4, atol=1e-5)


def test_the_frozen_kernel_is_the_trained_one():
    torch.manual_seed(1)
    layer = SteerableConvolution("2x0e + 1x1o", "1x0e + 2x1e + 1x2e", kernel_size=3)
    features = torch.randn(2, 5, 6, 6, 6)
    expected = layer(features)
    layer.eval().freeze()
    torch.testing.assert_close(layer(features), expected)
    with torch.no_grad():
        layer.weight.mul_(2)
    layer.train()
    assert not torch.allclose(layer(features), expected)


def test_gradients_reach_all_weights():
    torch.manual_seed(2)
    network = E3CNN(n_levels=1, kernel_size=3, multiplicity=1)
    network(torch.from_numpy(smooth_volume(12))[None, None]).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


def test_pooling_keeps_the_longest_vector_whole():
    pool = NormMaxPool("1x0e + 1x0o + 1x1o")
    features = torch.zeros(2, 5, 2, 2, 2)
    features[:, 0, 0, 1, 0] = 3
    features[:, 1, 1, 1, 0], features[:, 1, 0, 0, 0] = -4, 2
    features[0, 2:, 1, 0, 1] = torch.tensor([-3.0, 4, 0])
    features[1, 2:, 0, 1, 1] = torch.tensor([0.0, 0, -6])
    features[:, 2:, 0, 0, 0] = torch.tensor([4.0, 0, 0])
    assert pool(features).flatten(1).tolist() == [[3, -4, -3, 4, 0], [3, -4, 0, 0, -6]]
    signed = NormMaxPool("1x0e + 1x0o", signed_odd_scalars=True)
    assert signed(features[:, :2]).flatten(1).tolist() == [[3, 2], [3, 2]]


def test_pooling_axes_takes_the_longest_pseudovector_and_mean_directions():
    field = torch.zeros(1, 9, 1, 1, 2)
    field[0, 0:3, 0, 0] = torch.tensor([[1.0, 0], [0, -5], [0, 0]])
    field[0, 3:6, 0, 0] = torch.tensor([[2.0, 0], [0, 7], [0, 0]])
    field[0, 6:9, 0, 0] = torch.tensor([[0.0, 0], [0, 0], [9, 1]])
    assert pool_axes(field)[0].tolist() == [0, -5, 0, 0.5, 0.5, 0, 0, 0, 1]


@pytest.mark.parametrize("size", [2, 4, 1])
def test_kernels_have_a_centre(size):
    with pytest.raises(ValueError, match=f"odd size.*got {size}"):
        lattice(size)


def test_a_gate_needs_its_scalars_first():
    with pytest.raises(ValueError, match="0e, then 0o"):
        Gate("2x1o + 2x0e + 1x0o")
