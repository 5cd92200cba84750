"""Where the head is: the segmentation network and its posterior's way to a mask."""
