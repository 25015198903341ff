"""Reads Ray's Prometheus endpoints."""

import urllib.request

import ray


def lines(*prefixes: str) -> list[str]:
    """Return the lines with one of these prefixes from all nodes of the cluster that Ray is connected to."""
    found = []
    for node in ray.nodes():
        if node["Alive"]:
            url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
            page = urllib.request.urlopen(url, timeout=10).read().decode()
            found += [line for line in page.splitlines() if line.startswith(prefixes)]
    return found
