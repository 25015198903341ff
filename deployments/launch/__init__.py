"""Starts the graph on this machine: launcher, environment of the processes, HAProxy."""
