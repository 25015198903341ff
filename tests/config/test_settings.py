"""The settings refuse unknown keys and accept one source per model."""

import pytest
from pydantic import ValidationError

from config.settings import GraphSettings
from voxgraph.options import ModelKey


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        GraphSettings.model_validate({"default_chekpoint": {"source": "starter"}})


def test_a_model_can_have_its_own_checkpoint_source() -> None:
    settings = GraphSettings.model_validate(
        {
            "default_checkpoint": {"source": "starter"},
            "checkpoints": {"deepfake": {"source": "/models/deepfake"}},
        }
    )

    assert settings.checkpoint(ModelKey.DEEPFAKE).source == "/models/deepfake"
    assert settings.checkpoint(ModelKey.LANGUAGE).source == "starter"
