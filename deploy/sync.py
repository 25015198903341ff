"""Write the configuration files into the manifests: ``python deploy/sync.py``, after a change of either.

A RayService carries its Serve configuration as text, which only a copy can be.
"""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?<=^  serveConfigV2: \|\n).*?(?=^  \S)", re.MULTILINE | re.DOTALL)
IN_A_POD = {"proxy_location: HeadOnly": "proxy_location: EveryNode", "host: 127.0.0.1": "host: 0.0.0.0"}
"""What the demo says of a laptop, and what holds where clients are outside."""
ONE_INGRESS = """
  - name: Ingress
    num_replicas: auto
    max_ongoing_requests: 4096
    max_queued_requests: 4096
    autoscaling_config:
      min_replicas: 1
"""
ONE_ON_EACH_WORKER = ONE_INGRESS.replace("min_replicas: 1", "min_replicas: 2").replace(
    "num_replicas: auto\n", "num_replicas: auto\n    max_replicas_per_node: 1\n"
)
"""A worker without a replica has no proxy and is never ready: beside the empty one that comes for a drained
node the budget would refuse the drain of the next node for good."""


def in_a_pod(config: str) -> str:
    """A configuration that listens beyond the machine."""
    for here, there in IN_A_POD.items():
        config = config.replace(here, there)
    return config


def on_two_workers(config: str) -> str:
    """A configuration whose ingress is on each of two workers."""
    return config.replace(ONE_INGRESS, ONE_ON_EACH_WORKER)


def with_config(manifest: str, config: str) -> str:
    """A manifest with another Serve configuration."""
    block = textwrap.indent(config, "    ")
    return BLOCK.sub(lambda _: block, manifest, count=1)


def main() -> None:
    """Both manifests."""
    for manifest, config, changed in (
        ("kuberay.yaml", "serve_config.yaml", on_two_workers),
        ("kuberay-demo.yaml", "config/demo.yaml", in_a_pod),
    ):
        path = ROOT / "deploy" / manifest
        path.write_text(with_config(path.read_text(), changed((ROOT / config).read_text())))


if __name__ == "__main__":
    main()
