"""Naive servers: the same endpoints, implemented as each library's documentation shows."""
