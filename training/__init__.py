"""Recipes that make the demo checkpoints from free synthesizers; no part of the service."""
