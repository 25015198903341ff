"""The settings refuse what they do not know and do nothing at import."""

import pytest
from pydantic import ValidationError

from config.settings import GraphSettings
from voxgraph.options import ModelKey


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        GraphSettings.model_validate({"default_chekpoint": {"source": "demo"}})


def test_one_model_may_come_from_elsewhere() -> None:
    settings = GraphSettings.model_validate(
        {
            "default_checkpoint": {"source": "demo"},
            "checkpoints": {"deepfake": {"source": "/models/deepfake"}},
        }
    )

    assert settings.checkpoint(ModelKey.DEEPFAKE).source == "/models/deepfake"
    assert settings.checkpoint(ModelKey.LANGUAGE).source == "demo"
