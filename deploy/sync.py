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


def in_a_pod(config: str) -> str:
    """A configuration that listens beyond the machine."""
    for here, there in IN_A_POD.items():
        config = config.replace(here, there)
    return config


def with_config(manifest: str, config: str) -> str:
    """A manifest with another Serve configuration."""
    block = textwrap.indent(config, "    ")
    return BLOCK.sub(lambda _: block, manifest, count=1)


def main() -> None:
    """Both manifests."""
    for manifest, config in (
        ("kuberay.yaml", "serve_config.yaml"),
        ("kuberay-demo.yaml", "config/demo.yaml"),
    ):
        path = ROOT / "deploy" / manifest
        path.write_text(with_config(path.read_text(), in_a_pod((ROOT / config).read_text())))


if __name__ == "__main__":
    main()
