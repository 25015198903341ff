"""Typed configuration: settings of the graph and the table of checkpoints. Does nothing at import."""
