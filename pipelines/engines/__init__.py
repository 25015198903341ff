"""The same network on another runtime: torch everywhere, OpenVINO where it is faster on a CPU."""
