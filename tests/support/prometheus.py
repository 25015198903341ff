"""What Ray's Prometheus endpoints say."""

import urllib.request

import ray


def lines(*prefixes: str) -> list[str]:
    """Lines that begin so, of every node of the cluster that this process is a driver of."""
    found = []
    for node in ray.nodes():
        if node["Alive"]:
            url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
            page = urllib.request.urlopen(url, timeout=10).read().decode()
            found += [line for line in page.splitlines() if line.startswith(prefixes)]
    return found
