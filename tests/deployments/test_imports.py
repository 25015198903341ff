"""What starts without torch, and what an import may not do."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["deployments.graph", "deployments.ingress", "deployments.api.app"])
def test_it_starts_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {{'torch', 'speechbrain', 'transformers'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
