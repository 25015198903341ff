"""Which deployments a graph has for its models."""

from config.settings import GraphSettings
from deployments.loading import deployed_models, served_models
from voxgraph.options import ModelKey


def test_a_starter_in_two_places_is_deployed_once() -> None:
    settings = GraphSettings.model_validate({"default_checkpoint": {"source": "starter"}})

    deployed = deployed_models(settings)

    assert list(deployed) == served_models(settings)
    shared = {key: first for key, first in deployed.items() if key != first}
    assert shared == {
        ModelKey.SPEAKER_CNCELEB: ModelKey.SPEAKER_VOXCELEB,
        ModelKey.ACCENT_ECAPA: ModelKey.ACCENT_XLSR,
    }


def test_published_models_have_a_deployment_each() -> None:
    deployed = deployed_models(GraphSettings())

    assert all(key == first for key, first in deployed.items())


def test_a_starter_with_another_engine_has_a_deployment_of_its_own() -> None:
    settings = GraphSettings.model_validate(
        {"default_checkpoint": {"source": "starter"}, "engines": {"speaker_cnceleb": {"engine": "torch"}}}
    )

    assert deployed_models(settings)[ModelKey.SPEAKER_CNCELEB] is ModelKey.SPEAKER_CNCELEB


def test_a_starter_beside_a_published_model_is_not_shared() -> None:
    settings = GraphSettings.model_validate({"checkpoints": {"speaker_cnceleb": {"source": "starter"}}})

    assert deployed_models(settings)[ModelKey.SPEAKER_CNCELEB] is ModelKey.SPEAKER_CNCELEB
