"""What the U-Net need not compute, and that this changes nothing."""

from __future__ import annotations

import pytest
import torch

from E3PoseLib.method.localise import posterior_to_object
from E3PoseLib.networks.unet.padding import PaddedScans, find_object_without_padding
from E3PoseLib.networks.unet.unet import UNet

BOXES = [
    (slice(0, 48), slice(0, 48), slice(0, 48)),
    (slice(13, 28), slice(0, 11), slice(37, 48)),
    (slice(21, 22), slice(5, 40), slice(47, 48)),
]


@pytest.mark.parametrize(("n_levels", "input_stride"), [(4, 1), (3, 1), (1, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize("box", BOXES)
def test_the_logits_of_a_scan_are_those_that_the_whole_grid_gives(box, n_levels, input_stride):
    torch.manual_seed(0)
    network = UNet(n_levels, 2, input_stride=input_stride).eval().double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.bias.data.normal_()
    batch = torch.zeros(2, 1, 48, 48, 48, dtype=torch.float64)
    batch[(..., *box)] = torch.rand_like(batch[(..., *box)])
    with torch.inference_mode():
        whole, part = network(batch)[(..., *box)], PaddedScans(network, batch, box).logits(box)
    assert part.shape == whole.shape
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-12)


def test_the_first_level_computes_no_more_than_a_box_depends_on():
    network = UNet(n_levels=3, n_features=4).eval()
    shapes = []
    for block in (network.list_encoder_blocks[0], network.list_decoder_blocks[-1]):
        block.register_forward_hook(lambda module, inputs, output: shapes.append((inputs[0].shape[2], output.shape[2])))
    batch = torch.zeros(1, 1, 64, 64, 64)
    batch[..., 16:32, 16:32, 16:32] = 1
    with torch.inference_mode():
        box = (slice(16, 32),) * 3
        PaddedScans(network, batch, box).logits(box)
    empty = (24, 24)
    assert shapes == [(24, 20), empty, (20, 16)]


class Brightness:
    """Calls an object what is brighter than half, and keeps account of what is seen and of what is asked for."""

    def __init__(self) -> None:
        self.seen = []
        self.asked = []

    def __call__(self, batch: torch.Tensor, box: tuple[slice, ...] | None):
        self.seen.append(box)
        logits = self.logits(batch)

        def of_box(wanted: tuple[slice, ...]) -> torch.Tensor:
            self.asked.append(wanted)
            return logits[(..., *wanted)]

        return of_box

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(batch, 5.0), 10 * batch], dim=1)


class Halo(Brightness):
    """Calls an object what is next to such voxels too."""

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        return super().logits(torch.nn.functional.max_pool3d(batch, 3, stride=1, padding=1))


def to_object(logits: torch.Tensor) -> torch.Tensor:
    return posterior_to_object(logits, (0.5, 0.5), 1)


def scan(object_from: int) -> torch.Tensor:
    """Of a grid of 16 × 20 × 24 voxels 8 × 10 × 24 show something, an object of 2³ among it."""
    batch = torch.zeros(1, 1, 16, 20, 24)
    batch[..., 4:12, 5:15, :] = 0.1
    batch[..., object_from : object_from + 2, 8:10, 0:2] = 0.9
    return batch


def test_only_what_a_scan_shows_is_computed_and_one_voxel_around():
    batch, segment = scan(object_from=6), Brightness()
    found = find_object_without_padding(segment, batch, to_object)
    assert segment.asked == [(slice(3, 13), slice(4, 16), slice(0, 24))]
    assert found.any()
    assert torch.equal(found, to_object(Brightness().logits(batch)))


def test_scans_of_one_batch_are_computed_where_any_shows_something():
    one, segment = scan(object_from=6), Brightness()
    batch = torch.cat([one, one.roll(2, dims=2)])
    found = find_object_without_padding(segment, batch, to_object)
    assert segment.asked == [(slice(3, 15), slice(4, 16), slice(0, 24))]
    assert torch.equal(found, to_object(Brightness().logits(batch)))


def test_an_object_that_grows_into_the_padding_is_followed_there():
    batch, segment = scan(object_from=4), Halo()
    found = find_object_without_padding(segment, batch, to_object)
    assert segment.seen == [(slice(3, 13), slice(4, 16), slice(0, 24))]
    assert segment.asked[1:] == [(slice(0, 3), slice(4, 16), slice(0, 24))]
    assert found[0, 3].sum() == 12
    assert torch.equal(found, to_object(Halo().logits(batch)))


class Reaching(Brightness):
    """Calls an object also what is up to so many voxels before the bright ones along the first axis."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def logits(self, batch: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, self.n))
        return super().logits(torch.nn.functional.max_pool3d(padded, (self.n + 1, 1, 1), stride=1))


@pytest.mark.parametrize(
    ("n", "bands"), [(0, []), (5, [(55, 63)]), (9, [(55, 63), (39, 55)]), (30, [(55, 63), (39, 55), (7, 39)])]
)
def test_bands_of_padding_are_looked_at_until_the_object_ends(n, bands):
    batch, segment = torch.zeros(1, 1, 80, 8, 8), Reaching(n)
    batch[:, :, 64:] = 0.1
    batch[:, :, 64:66, 3:5, 3:5] = 0.9
    found = find_object_without_padding(segment, batch, to_object)
    assert [(box[0].start, box[0].stop) for box in segment.asked[1:]] == bands
    assert torch.equal(found, to_object(Reaching(n).logits(batch)))


@pytest.mark.parametrize("input_stride", [1, 2])
def test_logits_of_the_padding_are_those_that_the_whole_grid_gives(input_stride):
    torch.manual_seed(0)
    network = UNet(3, 2, input_stride=input_stride).eval().double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.bias.data.normal_()
    box = (slice(13, 28), slice(0, 30), slice(30, 48))
    batch = torch.zeros(2, 1, 48, 48, 48, dtype=torch.float64)
    batch[(..., *box)] = torch.rand_like(batch[(..., *box)])
    with torch.inference_mode():
        whole, scans = network(batch), PaddedScans(network, batch, box)
        for wanted in (
            (slice(5, 13), *box[1:]),
            (slice(28, 36), slice(20, 48), slice(0, 30)),
            (slice(40, 48), slice(40, 48), slice(0, 8)),
            (slice(0, 48),) * 3,
        ):
            torch.testing.assert_close(scans.logits(wanted), whole[(..., *wanted)], rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [torch.full((1, 1, 8, 8, 8), 0.1), torch.zeros(1, 1, 8, 8, 8)])
def test_a_grid_without_padding_or_without_a_scan_is_computed_at_once(batch):
    segment = Brightness()
    find_object_without_padding(segment, batch, to_object)
    assert segment.seen == [None]
