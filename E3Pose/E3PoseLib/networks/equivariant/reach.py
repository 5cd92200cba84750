"""Which irreps the features of a layer can hold at all.

A network begins with one true scalar, and its kernels are made of harmonics, whose parity is (-1)^l. So what stands
behind the first convolution has that parity too, and 0o, 1e and 2o are zero everywhere, whatever the scan; 0o still is
behind the second, since no harmonic couples two such irreps to it. Normalisation, gate and pooling keep a zero. These
channels have weights, which the official files hold too, but need be neither carried nor computed.
"""

from __future__ import annotations

from collections.abc import Set

from e3nn import o3


def reached(irreps_in: Set[o3.Irrep], irreps_out: o3.Irreps, lmax: int) -> frozenset[o3.Irrep]:
    """Those irreps of a convolution's output that some harmonic couples to one of its input.

    Parameters
    ----------
    irreps_in : set of e3nn.o3.Irrep
        What is not zero.
    irreps_out : e3nn.o3.Irreps
    lmax : int
        Highest order of the harmonics.
    """
    harmonics = [irrep for _, irrep in o3.Irreps.spherical_harmonics(lmax)]
    coupled = {irrep for one in irreps_in for harmonic in harmonics for irrep in one * harmonic}
    return frozenset(coupled & {irrep for _, irrep in irreps_out})


def only(irreps: o3.Irreps, carried: Set[o3.Irrep]) -> o3.Irreps:
    """The irreps without those that are not carried."""
    return o3.Irreps([(mul, irrep) for mul, irrep in irreps if irrep in carried])
