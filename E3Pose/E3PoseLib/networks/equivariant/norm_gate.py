"""Normalisation and gate in one step, with a gradient of its own: most of what a block does besides convolving.

The features are read once for their statistics and once for the result; the gradient needs no intermediate of their
size but itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .gate import Gate
from .norm import InstanceNorm


def normalise_and_gate(features: Tensor, norm: InstanceNorm, gate: Gate) -> Tensor:
    """``gate(norm(features))``: ``[B, gate.carried_in.dim, D, H, W]`` to ``[B, gate.carried_out.dim, D, H, W]``.

    In the precision of features or weights, whichever is the higher.
    """
    dtype = torch.promote_types(features.dtype, norm.weight.dtype)
    weight, bias = norm.carried_weight().to(dtype), norm.bias.to(dtype)
    return _NormaliseAndGate.apply(features.to(dtype), weight, bias, norm, gate)


class _NormaliseAndGate(torch.autograd.Function):
    """Channels are 0o, 0e proper, 0e gates, then the gated irreps; only a 0e has a mean taken off.

    With the inverse root mean square r of an irrep of d components over V voxels, a = r · weight, g the gradient of
    the normalised features and S the sum of g · x over components and voxels, the gradient of x is
    a · (g - r² S x / (d V)), and for a 0e the same with x and g less their means.
    """

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, bias: Tensor, norm: InstanceNorm, gate: Gate) -> Tensor:
        x = features.flatten(2)
        inverse_rms, mean = norm.statistics(x, features.shape[2], gate.scalars)
        scale = (inverse_rms * weight)[..., None]
        shift = torch.addcmul(bias, mean, scale[:, gate.scalars, 0], value=-1)[..., None]
        result = x.new_empty(len(x), gate.carried_out.dim, x.shape[2])
        even, odd = result[:, : gate.n_even], result[:, gate.n_even : gate.n_even + gate.n_odd]
        torch.addcmul(
            gate.relu_scale * shift[:, : gate.n_even], x[:, gate.even], gate.relu_scale * scale[:, gate.even], out=even
        ).relu_()
        torch.mul(x[:, gate.odd], scale[:, gate.odd], out=odd).tanh_().mul_(gate.tanh_scale)
        gates = torch.addcmul(shift[:, gate.n_even :], x[:, gate.gates], scale[:, gate.gates]).sigmoid_()
        for block in gate.gated:
            factor = gates[:, block.gates] * (gate.sigmoid_scale * scale[:, block.irreps])
            torch.mul(block.vectors(x), factor.unsqueeze(2), out=block.vectors(result, out=True))
        ctx.save_for_backward(x, result, inverse_rms, mean, weight, gates)
        ctx.gate, ctx.shape = gate, features.shape
        return result.unflatten(2, features.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        x, result, inverse_rms, mean, weight, gates = ctx.saved_tensors
        gate, voxels, upstream = ctx.gate, x.shape[2], upstream.flatten(2)
        scale = (inverse_rms * weight)[..., None]
        gradient = torch.empty_like(x)
        # S of the class's description, per sample and irrep.
        products = torch.empty_like(inverse_rms)

        # Zero for the gates of irreps that are not carried.
        scalars = x.new_zeros(len(x), mean.shape[1], voxels)
        above = torch.ops.aten.threshold_backward(upstream[:, : gate.n_even], result[:, : gate.n_even], 0)
        torch.mul(above, gate.relu_scale, out=scalars[:, : gate.n_even])
        for block in gate.gated:
            vectors, above = block.vectors(x), block.vectors(upstream, out=True)
            opening, scaled = gates[:, block.gates], gate.sigmoid_scale * scale[:, block.irreps]
            along = (above * vectors).sum(2)
            products[:, block.irreps] = gate.sigmoid_scale * (along * opening).sum(2)
            factor = opening * scaled
            torch.mul(along, (1 - opening) * factor, out=scalars[:, gate.n_even :][:, block.gates])
            pull = products[:, block.irreps] * inverse_rms[:, block.irreps].square() * scale[:, block.irreps, 0]
            inside = block.vectors(gradient)
            torch.mul(above, factor.unsqueeze(2), out=inside)
            inside.addcmul_(vectors, pull[..., None, None], value=-1 / (block.dim * voxels))

        odd, tanh = x[:, gate.odd], result[:, gate.n_even : gate.n_even + gate.n_odd]
        inner = torch.addcmul(tanh.new_full((), gate.tanh_scale), tanh, tanh, value=-1 / gate.tanh_scale)
        inner.mul_(upstream[:, gate.n_even : gate.n_even + gate.n_odd])
        products[:, gate.odd] = (inner * odd).sum(2)
        pull = products[:, gate.odd] * inverse_rms[:, gate.odd].square() / -voxels
        torch.addcmul(inner, odd, pull[..., None], out=gradient[:, gate.odd]).mul_(scale[:, gate.odd])

        total = scalars.sum(2)
        products[:, gate.scalars] = (scalars * x[:, gate.scalars]).sum(2) - mean * total
        pull = products[:, gate.scalars] * inverse_rms[:, gate.scalars].square() / -voxels
        constant = -(total / voxels + pull * mean)
        inside = gradient[:, gate.scalars]
        torch.addcmul(constant[..., None], x[:, gate.scalars], pull[..., None], out=inside)
        inside.add_(scalars).mul_(scale[:, gate.scalars])
        return gradient.reshape(ctx.shape), (products * inverse_rms).sum(0), total.sum(0), None, None
