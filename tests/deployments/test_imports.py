"""Heavy libraries that a process does not import."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["deployments.graph", "deployments.ingress", "deployments.api.app"])
def test_it_is_imported_without_torch(module: str) -> None:
    unused = {"torch", "speechbrain", "transformers", "alembic", "cryptography", "gallery", "sklearn"}
    code = f"import {module}, sys; assert not {unused} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    "module",
    ["models", "diarization", "state.graph_state", "replica.model_replica", "transport.clips"],
)
def test_processes_without_uploads_do_not_import_decoders(module: str) -> None:
    code = f"import deployments.{module}, sys; assert not {{'av', 'soundfile', 'soxr'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "unused", "use"),
    [
        ("pipelines.language", ("scipy.stats",), "import scipy.stats; scipy.stats.lognorm.mean(1.0)"),
        (
            "pipelines.diarization",
            (
                "huggingface_hub", "lightning", "matplotlib", "networkx", "opentelemetry", "optuna", "pandas",
                "pyannote.database", "pyannote.metrics", "scipy.signal", "scipy.stats", "sklearn",
                "speechbrain", "torch._dynamo", "torchcodec", "torchmetrics",
            ),
            "import huggingface_hub, lightning, networkx, optuna, pandas, scipy.signal, scipy.stats;"
            "from pyannote.audio.pipelines.voice_activity_detection import VoiceActivityDetection;"
            "from pyannote.audio.telemetry.metrics import is_metrics_enabled;"
            "from pyannote.core.notebook import notebook; from pyannote.database import registry;"
            "from pyannote.metrics.diarization import JaccardErrorRate;"
            "from pyannote.pipeline.optimizer import Optimizer;"
            "from sklearn.isotonic import IsotonicRegression; import torchmetrics;"
            "huggingface_hub.snapshot_download, lightning.Trainer, networkx.Graph().nodes;"
            "optuna.create_study, pandas.DataFrame, scipy.signal.argrelmax, scipy.stats.bayes_mvs(range(9));"
            "VoiceActivityDetection, is_metrics_enabled, notebook.width, registry, JaccardErrorRate();"
            "Optimizer, IsotonicRegression().fit, torchmetrics.Metric",
        ),
    ],
)  # fmt: skip
def test_a_pipeline_does_not_load_what_it_never_uses(module: str, unused: tuple[str, ...], use: str) -> None:
    code = f"import {module}, sys; assert not {set(unused)} & set(sys.modules), 'imported'; {use}"

    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
