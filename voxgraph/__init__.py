"""voxgraph for its users: errors, results and options, and the running graph from Python.

Needs neither ray, torch nor fastapi to be imported."""
