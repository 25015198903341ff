"""Writers of checkpoints in the hub's layouts."""
