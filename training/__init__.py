"""Recipes that train the demo checkpoints on free synthesizers; not part of the service."""
