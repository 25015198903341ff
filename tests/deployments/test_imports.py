"""What starts without torch, and what an import may not do."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["deployments.graph", "deployments.ingress", "deployments.api.app"])
def test_it_starts_without_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {{'torch', 'speechbrain', 'transformers'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "training", "use"),
    [
        ("pipelines.language", ("scipy.stats",), "import scipy.stats; scipy.stats.lognorm.mean(1.0)"),
        (
            "pipelines.diarization",
            ("lightning", "torchmetrics", "torch._dynamo"),
            "import lightning, torchmetrics; lightning.Trainer, torchmetrics.Metric",
        ),
    ],
)
def test_a_replica_is_spared_what_is_there_for_who_trains(
    module: str, training: tuple[str, ...], use: str
) -> None:
    code = f"import {module}, sys; assert not {set(training)} & set(sys.modules), 'imported'; {use}"

    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
