"""What starts without torch, and what an import may not do."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["deployments.graph", "deployments.ingress", "deployments.api.app"])
def test_it_starts_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {{'torch', 'speechbrain', 'transformers'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("imports", "spared", "works"),
    [
        ("import pipelines.language", "scipy.stats", "scipy.stats.lognorm.mean(1.0) > 1"),
        (
            "from deployments.worker_setup import setup; setup(); import ray.serve",
            "pandas",
            "pandas.DataFrame().empty",
        ),
    ],
)
def test_a_replica_is_spared_an_import_that_is_there_for_who_wants_it(
    imports: str, spared: str, works: str
) -> None:
    code = f"{imports}; import sys; assert '{spared}' not in sys.modules; import {spared}; assert {works}"

    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
