"""Makes and measures the starter checkpoints: real networks from free sources, in small layouts."""
