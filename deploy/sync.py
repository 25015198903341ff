"""Copy the configuration files into the manifests: ``python deploy/sync.py``, after a change of either.

A RayService contains its Serve configuration as text and cannot refer to a file.
"""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?<=^  serveConfigV2: \|\n).*?(?=^  \S)", re.MULTILINE | re.DOTALL)
FOR_POD = {"proxy_location: HeadOnly": "proxy_location: EveryNode", "host: 127.0.0.1": "host: 0.0.0.0"}
"""Lines of config/starter.yaml, which serves one machine, and their values for clients outside the pod."""
INGRESS_OPTIONS = """
  - name: Ingress
    num_replicas: auto
    max_ongoing_requests: 4096
    max_queued_requests: 4096
    autoscaling_config:
      min_replicas: 1
"""
INGRESS_ON_TWO_WORKERS = INGRESS_OPTIONS.replace("min_replicas: 1", "min_replicas: 2").replace(
    "num_replicas: auto\n", "num_replicas: auto\n    max_replicas_per_node: 1\n"
)
"""A worker without a replica has no proxy and never becomes ready. If the worker that replaces a drained one
stayed without a replica, the PodDisruptionBudget would refuse the drain of the next node for good."""


def for_pod(config: str) -> str:
    """Make a configuration listen on all interfaces and nodes."""
    for old, new in FOR_POD.items():
        config = config.replace(old, new)
    return config


def for_two_workers(config: str) -> str:
    """Make a configuration run an ingress replica on each of two workers."""
    return config.replace(INGRESS_OPTIONS, INGRESS_ON_TWO_WORKERS)


def with_config(manifest: str, config: str) -> str:
    """Replace the Serve configuration of a manifest."""
    block = textwrap.indent(config, "    ")
    return BLOCK.sub(lambda _: block, manifest, count=1)


def main() -> None:
    """Update both manifests."""
    for manifest, config, adapt in (
        ("kuberay.yaml", "serve_config.yaml", for_two_workers),
        ("kuberay-starter.yaml", "config/starter.yaml", for_pod),
    ):
        path = ROOT / "deploy" / manifest
        path.write_text(with_config(path.read_text(), adapt((ROOT / config).read_text())))


if __name__ == "__main__":
    main()
