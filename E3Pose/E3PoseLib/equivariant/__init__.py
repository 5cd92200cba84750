"""E(3)-equivariant layers on e3nn's irreps, in PyTorch's channels-first layout."""
