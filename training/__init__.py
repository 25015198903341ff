"""Recipes of the starter checkpoints and writers of checkpoint layouts; not part of the service."""
