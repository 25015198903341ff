"""Endpoints and formats kept only for clients of the five services that voxgraph replaces."""
