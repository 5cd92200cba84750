"""E(3)-equivariant layers on e3nn's irreps, in PyTorch's channels-first layout."""

from ...compiler import compiler_left_out

# Before any of the layers imports it.
with compiler_left_out():
    import e3nn.o3  # noqa: F401
