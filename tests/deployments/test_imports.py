"""What starts without torch, and what an import may not do."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["deployments.graph", "deployments.ingress", "deployments.api.app"])
def test_it_starts_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {{'torch', 'speechbrain', 'transformers'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_replica_is_spared_distributions_that_are_there_for_who_wants_them() -> None:
    code = (
        "import pipelines.language, sys; assert 'scipy.stats' not in sys.modules; "
        "import scipy.stats; assert scipy.stats.lognorm.mean(1.0) > 1"
    )

    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
