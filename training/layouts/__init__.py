"""Writers of checkpoints in the layouts of the hub."""
