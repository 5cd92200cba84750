"""From the selected scan to the nodes that hold its result: the run, what may be written into, which way it leads."""
