"""The fixed part of a steerable kernel: radial functions times spherical harmonics, coupled by Clebsch-Gordan.

Weiler et al., *3D Steerable CNNs*, NeurIPS 2018, show that every E(3)-equivariant kernel is a linear combination of
such products; what a network learns are the coefficients. Everything here is constant and is computed once.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from e3nn import o3
from e3nn.math import soft_unit_step


def lattice(kernel_size: int) -> torch.Tensor:
    """Offsets of a kernel's taps from its centre, in voxels.

    Returns
    -------
    torch.Tensor
        Shape ``[k, k, k, 3]``, float32; the last axis is (i, j, k), in the order of the volume's axes.

    Raises
    ------
    ValueError
        If `kernel_size` is even or less than 3: such a kernel has no centre tap, or no neighbours.
    """
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise ValueError(f"a steerable kernel needs an odd size of at least 3, got {kernel_size}")
    offsets = torch.arange(kernel_size, dtype=torch.float32) - kernel_size // 2
    return torch.stack(torch.meshgrid(offsets, offsets, offsets, indexing="ij"), dim=-1)


def radial_functions(radius: torch.Tensor, cutoff: float, n_radial: int) -> torch.Tensor:
    r"""Smooth bumps of finite support along the radius.

    Bump n is :math:`1.14136\, e^2\, s(d_n + 1)\, s(1 - d_n)` with :math:`s(x) = e^{-1/x}` for x > 0, else 0, and
    :math:`d_n` the distance from the n-th of `n_radial` centres spread evenly over [0, cutoff], in units of their gap
    (e3nn's ``smooth_finite`` basis without a cutoff at its ends).

    Parameters
    ----------
    radius : torch.Tensor
        Any shape, voxels.

    Returns
    -------
    torch.Tensor
        Shape ``[*radius.shape, n_radial]``.
    """
    centres = torch.linspace(0.0, cutoff, n_radial, dtype=radius.dtype)
    distance = (radius[..., None] - centres) / (centres[1] - centres[0])
    peak = 1.14136 * torch.exp(torch.tensor(2.0, dtype=radius.dtype))
    return peak * soft_unit_step(distance + 1) * soft_unit_step(1 - distance)


@lru_cache
def coupled_basis(irrep_in: o3.Irrep, irrep_out: o3.Irrep, lmax: int, kernel_size: int, n_radial: int) -> torch.Tensor:
    r"""All equivariant kernels from one irrep to another, on the lattice.

    Parameters
    ----------
    irrep_in, irrep_out : e3nn.o3.Irrep
    lmax : int
        Highest order of the spherical harmonics.
    kernel_size : int
        Taps along an edge; the radial functions end at half of it.
    n_radial : int
        Number of radial functions.

    Returns
    -------
    torch.Tensor
        Shape ``[paths, n_radial, taps, dim_in, dim_out]``, float32, with one path for every harmonic that couples the
        two irreps (none where parity forbids it), in increasing order:
        :math:`R_r(|x|) \sum_m Y^l_m(x) C^{in,l,out}_{i m k}`, not yet divided by the number of taps.
    """
    offsets = lattice(kernel_size).reshape(-1, 3)
    radial = radial_functions(offsets.norm(dim=-1), kernel_size / 2, n_radial)
    paths = []
    for harmonic in o3.Irreps.spherical_harmonics(lmax):
        if irrep_out not in irrep_in * harmonic.ir:
            continue
        values = o3.spherical_harmonics(harmonic.ir.l, offsets, normalize=True, normalization="component")
        coupling = o3.wigner_3j(irrep_in.l, harmonic.ir.l, irrep_out.l, dtype=offsets.dtype)
        paths.append(torch.einsum("tr,tm,imk->rtik", radial, values, coupling))
    if not paths:
        return torch.zeros(0, n_radial, kernel_size**3, irrep_in.dim, irrep_out.dim, dtype=torch.float32)
    return torch.stack(paths)
