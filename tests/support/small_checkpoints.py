"""The small checkpoints of ``tests/checkpoints``, and the graph that serves them."""

from typing import TYPE_CHECKING, Any

import yaml
from launched import ROOT

from config.settings import CheckpointSource, Size
from voxgraph.options import ModelKey

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint

FOLDER = ROOT / "tests" / "checkpoints"


def small_source(model: ModelKey) -> CheckpointSource:
    """Return the source of a model's small checkpoint."""
    return CheckpointSource(source=str(FOLDER / model), size=Size.SMALL)


def small_checkpoint(model: ModelKey) -> "LocatedCheckpoint":
    """Locate a model's small checkpoint."""
    # Imported here so that the configuration of the graph can be written without torch.
    from pipelines.checkpoints import locate

    return locate(model, small_source(model))


def small_graph() -> dict[str, Any]:
    """Return the Serve configuration of `make serve`, with the small checkpoint of every model."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config" / "starter.yaml").read_text())
    (application,) = config["applications"]
    checkpoints = {str(model): small_source(model).model_dump(mode="json") for model in ModelKey}
    application["args"] = {"checkpoints": checkpoints}
    # Unlike the starters, the small checkpoints of these two models are their own.
    for name in ("SpeakerCnceleb", "AccentEcapa"):
        application["deployments"].append({"name": name, "ray_actor_options": {"num_cpus": 0.2}})
    return config
