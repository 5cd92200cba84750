"""The symmetry laws of the rotation network and of its layers."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from nibabel.orientations import apply_orientation
from plain_e3nn import PlainE3CNN
from scipy.ndimage import gaussian_filter, map_coordinates
from storages import orientations, signed_permutation

from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.networks.equivariant.basis import lattice
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.gate import Gate
from E3PoseLib.networks.equivariant.network import E3CNN, pool_axes
from E3PoseLib.networks.equivariant.pooling import NormMaxPool


def rough_volume(edge: int, seed: int = 0) -> np.ndarray:
    """Filtered noise: structure everywhere, so that no voxel's axes are rounding errors made unit vectors."""
    volume = gaussian_filter(np.random.default_rng(seed).random((edge,) * 3), 1)
    return ((volume - volume.min()) / (volume.max() - volume.min())).astype(np.float32)


def smooth_volume(edge: int, rotation: np.ndarray) -> np.ndarray:
    """A lopsided cloud of wide blobs, turned before it is drawn."""
    generator = np.random.default_rng(0)
    position = centred_grid(edge) / edge
    volume = np.exp(-(position**2).sum(axis=-1) / (2 * 0.22**2))
    for _ in range(10):
        centre = rotation @ generator.normal(scale=0.13, size=3)
        volume += generator.uniform(-1, 1) * np.exp(-((position - centre) ** 2).sum(axis=-1) / (2 * 0.2**2))
    return volume.astype(np.float32)


def centred_grid(edge: int) -> np.ndarray:
    """Voxel positions ``[edge, edge, edge, 3]`` from the middle of a cube."""
    offsets = np.arange(edge) - (edge - 1) / 2
    return np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1)


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
    volume = rough_volume(24)
    axes = axes_of(network, [volume])[0]
    errors = [law_error(network, volume, orientation, axes) for orientation in orientations()]
    assert len(errors) == 48 and max(errors) < 1e-3


def test_official_weights_follow_the_24_rotations(official_model):
    network = official_model.rotation_network
    volume = rough_volume(16)
    axes = axes_of(network, [volume])[0]
    turned, mirrored = [], []
    for orientation in orientations():
        (turned if np.linalg.det(signed_permutation(orientation)) > 0 else mirrored).append(orientation)
    errors = [law_error(network, volume, orientation, axes) for orientation in turned]
    assert len(errors) == 24 and max(errors) < 1e-3
    # Their pooling takes the signed maximum of odd scalars, so the law does not hold for reflections.
    assert any(law_error(network, volume, orientation, axes) > 1e-3 for orientation in mirrored)


def test_vectors_follow_arbitrary_rotations_of_a_smooth_volume(capsys):
    """One block, random weights, voxel by voxel, weighted by strength. On a lattice the law is approximate."""
    edge = 32
    torch.manual_seed(0)
    network = E3CNN(n_levels=0, multiplicity=1).eval().requires_grad_(False)
    network.freeze()

    def vectors(rotation: np.ndarray) -> np.ndarray:
        volume = torch.from_numpy(smooth_volume(edge, rotation))[None, None]
        return network.axes_field(volume)[0, 3:].reshape(2, 3, edge, edge, edge).double().numpy()

    grid = centred_grid(edge)
    inside = np.linalg.norm(grid, axis=-1) < 0.35 * edge
    straight = vectors(np.eye(3))
    errors = []
    for rotation in random_rotations(8, torch.Generator().manual_seed(5), torch.float64).numpy():
        source = (grid[inside] @ rotation + (edge - 1) / 2).T
        for before, after in zip(straight, vectors(rotation), strict=True):
            expected = rotation @ np.stack([map_coordinates(component, source, order=1) for component in before])
            found = after[:, inside]
            strength = np.linalg.norm(expected, axis=0)
            cosine = (expected * found).sum(axis=0) / (strength * np.linalg.norm(found, axis=0))
            errors.append(np.average(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))), weights=strength**2))
    with capsys.disabled():
        print(f"\nvectors under arbitrary rotations: mean {np.mean(errors):.2f}°, worst turn {np.max(errors):.2f}°")
    assert np.mean(errors) <= 3


def test_it_computes_what_plain_e3nn_computes(network):
    volume = torch.from_numpy(np.stack([rough_volume(16, seed) for seed in (0, 1)]))[:, None]
    with torch.inference_mode():
        plain = PlainE3CNN(network).eval()(volume)
        torch.testing.assert_close(network(volume), plain, rtol=1e-4, atol=1e-4)


def test_a_batch_is_its_samples(network):
    volumes = [rough_volume(16, seed) for seed in range(3)]
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
    network(torch.from_numpy(rough_volume(12))[None, None]).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


def test_checkpointing_keeps_less_and_changes_no_gradient():
    torch.manual_seed(2)
    network = E3CNN(n_levels=1, kernel_size=3, multiplicity=1)
    volume = torch.from_numpy(rough_volume(12))[None, None]

    def gradients_and_bytes(checkpointing: bool) -> tuple[list[torch.Tensor], int]:
        network.checkpointing = checkpointing
        network.zero_grad()
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
            loss = network(volume).square().sum()
        loss.backward()
        return [weight.grad.clone() for weight in network.parameters()], sum(kept)

    (expected, all_kept), (gradients, kept) = gradients_and_bytes(False), gradients_and_bytes(True)
    torch.testing.assert_close(gradients, expected)
    assert kept < all_kept / 3


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


def test_smooth_pooling_follows_the_48_permutations_and_halves_the_error_of_other_rotations():
    """Pooled vectors of random networks, arbitrary rotations of a rough volume, relative to their length."""
    smooth = E3CNN(2, 3, multiplicity=1, smooth_pooling=True).eval().requires_grad_(False)
    volume = rough_volume(24)
    axes = axes_of(smooth, [volume])[0]
    assert max(law_error(smooth, volume, orientation, axes) for orientation in orientations()) < 1e-3

    grid = centred_grid(24)
    rotations = random_rotations(4, torch.Generator().manual_seed(3), torch.float64).numpy()
    fine = gaussian_filter(np.random.default_rng(1).random((40,) * 3), 1.5)
    ball = np.linalg.norm(grid, axis=-1) < 11

    def turned(rotation: np.ndarray) -> torch.Tensor:
        content = map_coordinates(fine, np.moveaxis(grid @ rotation + 19.5, -1, 0), order=3) - fine.mean()
        return torch.from_numpy((content * ball).astype(np.float32))[None, None]

    errors = {}
    for smooth_pooling in (False, True):
        deviations = []
        for seed in range(4):
            torch.manual_seed(seed)
            network = E3CNN(2, 3, multiplicity=1, smooth_pooling=smooth_pooling).eval().requires_grad_(False)
            straight = network.axes_field(turned(np.eye(3)))[0, 3:].flatten(1).mean(1).reshape(2, 3)
            for rotation in rotations:
                vectors = network.axes_field(turned(rotation))[0, 3:].flatten(1).mean(1).reshape(2, 3)
                expected = straight @ torch.from_numpy(rotation.T).float()
                deviations.append((vectors - expected).norm() / (vectors.norm() + expected.norm()) * 2)
        errors[smooth_pooling] = float(torch.stack(deviations).median())
    print(f"relative error under arbitrary rotations: by norm {errors[False]:.2f}, smooth {errors[True]:.2f}")
    assert errors[True] < 0.75 * errors[False]


def test_blocks_may_differ_in_width_and_depth():
    network = E3CNN(1, 3, multiplicity=[1, 3], n_convolutions=[1, 2])
    assert [block.n_convolutions for block in network.blocks] == [1, 2]
    assert network.blocks[1].gate2.irreps_out.count("1e") == 6
    assert network.axes_field(torch.rand(2, 1, 8, 8, 8)).shape == (2, 9, 4, 4, 4)
    with pytest.raises(ValueError, match=r"multiplicity: 2 blocks .* got \[1, 2, 3\]"):
        E3CNN(1, 3, multiplicity=[1, 2, 3])
    with pytest.raises(ValueError, match=r"n_convolutions: 2 blocks .* got \[0, 1\]"):
        E3CNN(1, 3, n_convolutions=[0, 1])


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_network_trains_after_another_has_estimated_in_the_same_process(kernel_size):
    """What is computed once and kept must not be bound to the mode of whoever needed it first."""
    sizes = {"multiplicity": 1, "smooth_pooling": True}
    volume = torch.rand(1, 1, 26, 26, 26)
    with torch.inference_mode():
        E3CNN(1, kernel_size, **sizes).eval().axes_field(volume)
    network = E3CNN(1, kernel_size, **sizes)
    network.axes_field(volume).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def precisions_at_pools(network: E3CNN) -> tuple[list[torch.dtype], torch.dtype]:
    """Of the features that come to each pooling, and of the field that comes out."""
    seen = []
    handles = [pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype)) for pool in network.pools]
    field = network.axes_field(torch.from_numpy(rough_volume(8))[None, None])
    for handle in handles:
        handle.remove()
    return seen, field.dtype


def test_the_longest_vectors_are_chosen_in_float64_once_frozen():
    network = E3CNN(n_levels=2, multiplicity=1)
    assert precisions_at_pools(network) == ([torch.float32] * 2, torch.float32)
    network.eval().requires_grad_(False).freeze()
    assert precisions_at_pools(network) == ([torch.float64] * 2, torch.float32)
    network.exact_pooling = False
    assert precisions_at_pools(network) == ([torch.float32] * 2, torch.float32)


def test_smooth_pooling_chooses_nothing_and_stays_in_float32():
    network = E3CNN(n_levels=1, multiplicity=1, smooth_pooling=True).eval().requires_grad_(False)
    network.freeze()
    assert precisions_at_pools(network) == ([torch.float32], torch.float32)


def test_a_frozen_network_chooses_as_in_float64(network):
    """A choice that rounding turned over would change features by their own size, not by their last bits."""
    volume = torch.from_numpy(rough_volume(40, seed=4))[None, None]
    exact = deepcopy(network).double()
    with torch.inference_mode():
        field, expected = network.axes_field(volume), exact.axes_field(volume.double())
    assert (field - expected).norm() < 1.5e-6 * expected.norm()
