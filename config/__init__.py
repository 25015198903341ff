"""Typed configuration: the settings of the graph and the table of checkpoints. No effects at import."""
