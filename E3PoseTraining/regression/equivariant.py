"""The project's own network, and ablations of it: what it would be without one of its parts."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from E3PoseLib.compiler import compiler_left_out
from E3PoseLib.imaging.rotations import orthonormalise
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.network import E3CNN, pool_axes

from .networks import AxesNetwork, Heads

with compiler_left_out():
    from e3nn import o3


class EquivariantCNN(AxesNetwork):
    """The project's own network, for what it makes of the same crops.

    Parameters
    ----------
    **architecture
        As for `E3CNN`.
    """

    turned = False
    network_class: ClassVar[type[E3CNN]] = E3CNN

    def __init__(self, **architecture: Any) -> None:
        super().__init__()
        self.network = self.network_class(**architecture)

    def axes_field(self, crops: Tensor) -> Tensor:
        return self.network.axes_field(crops)


class VectorsE3CNN(E3CNN):
    """An E(3)-CNN that gives three vectors, x among them, which a reflection turns over."""

    irreps_axes = o3.Irreps("3x1o")


class VectorX(EquivariantCNN):
    """The ablation of the pseudovector: x is a vector like y and z, and all that is done with those is done with it.

    Its loss is the distance from the true x, component by component, so its sign counts; what is taken of a crop is the
    mean of its unit vectors; and the rotation is the proper one nearest to the three means as they are, so x does not
    give way where they are left-handed. A head has a plane of symmetry, and a network that commutes with reflections
    can give no vector across it: x has nothing to go by but what tells left from right.
    """

    network_class = VectorsE3CNN

    def rotation(self, crops: Tensor) -> Tensor:
        return orthonormalise(self._unit_vectors(crops).mean(dim=3).double()).to(crops)

    def loss(self, heads: Heads, progress: float) -> Tensor:
        vectors = self._unit_vectors(heads.crops)
        return (vectors - heads.axes.to(vectors)[..., None]).abs().mean()

    def _unit_vectors(self, crops: Tensor) -> Tensor:
        """``[B, 3, 3, N]``: x, y, z, their components, voxels."""
        return normalize(self.axes_field(crops).flatten(2).unflatten(1, (3, 3)), dim=2)


class ConvolutionWithoutParity(SteerableConvolution):
    """Commutes with rotations, but not with reflections: each irrep comes in once as even and once as odd.

    A kernel that commutes with reflections has harmonics of even order between irreps of equal parity, and of odd order
    between others. So the two together are every kernel that commutes with rotations, normalised over both.
    """

    def __init__(
        self,
        irreps_in: o3.Irreps | str,
        irreps_out: o3.Irreps | str,
        *,
        carried: Set[o3.Irrep] | None = None,
        **sizes: int,
    ) -> None:
        even = o3.Irreps(irreps_in).simplify()
        odd = o3.Irreps([(mul, (irrep.l, -irrep.p)) for mul, irrep in even])
        super().__init__(even + odd, irreps_out, **sizes)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(torch.cat([features, features], dim=1))


class SO3CNN(E3CNN):
    """An E(3)-CNN of irreps of SO(3), which have no parity; as many weights, so fewer features.

    Without parity twice as many pairs of irreps are coupled.
    """

    irreps_axes = o3.Irreps("3x1e")
    convolution = ConvolutionWithoutParity

    @staticmethod
    def hidden_irreps(m: int) -> o3.Irreps:
        scalars, vectors, tensors = (round(n * m / math.sqrt(2)) for n in (8, 4, 2))
        return o3.Irreps(f"{scalars}x0e + 0x0o + {vectors}x1e + {tensors}x2e")


class WithoutParity(EquivariantCNN):
    """The ablation of reflections: a network and kernels that follow rotations alone, with E(3)-Pose's own loss."""

    network_class = SO3CNN


class PooledLoss(EquivariantCNN):
    """The ablation of the loss by voxel: the loss of the one set of axes that is taken of a crop (`pool_axes`)."""

    def loss(self, heads: Heads, progress: float) -> Tensor:
        return self.axes_loss(pool_axes(self.axes_field(heads.crops))[..., None, None, None], heads.axes)
