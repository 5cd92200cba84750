"""The panel's parts: its parameters, its sections, and the run in the background."""
