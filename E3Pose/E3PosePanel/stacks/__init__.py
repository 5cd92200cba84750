"""The section Align stacks: which stacks, the alignment of them, and the views that compare them."""
