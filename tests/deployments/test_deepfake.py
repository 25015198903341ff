"""From the scores of chunks to the verdict, with the operating points of the configuration."""

from typing import Any

import pytest
from pydantic import ValidationError

from config.settings import GraphSettings
from deployments.deepfake import STARTER_ADVICE, UNFITTED_ADVICE, conclude
from voxgraph.options import ChunkOptions
from voxgraph.results import DeepfakeScore, DeepfakeVerdict, Finding, OperatingPoints

SPANS = [(0, 80_000), (40_000, 120_000)]
FITTED = OperatingPoints(0.8, 0.2, fitted=True)


def verdict(points: OperatingPoints, **settings: Any) -> DeepfakeVerdict:
    scores = [DeepfakeScore(chance, 1 - chance, points) for chance in (0.7, 0.6)]
    return conclude(SPANS, scores, ChunkOptions(), GraphSettings.model_validate(settings))


def test_the_points_of_the_checkpoint_decide() -> None:
    found = verdict(FITTED)

    assert (found.verdict, found.points, found.advice) == (Finding.INCONCLUSIVE, FITTED, None)
    assert [(chunk.start_s, chunk.end_s) for chunk in found.chunks] == [(0.0, 5.0), (2.5, 7.5)]


def test_points_of_the_configuration_take_their_place() -> None:
    points = {"ai_generated": 0.5, "no_sign_found": 0.3}

    found = verdict(FITTED, deepfake_points=points)

    assert (found.verdict, found.points) == (Finding.AI_GENERATED, OperatingPoints(0.5, 0.3, fitted=True))


def test_default_points_keep_the_old_meaning_and_say_that_they_are_not_fitted() -> None:
    found = verdict(OperatingPoints())

    assert (found.is_deepfake, found.points.fitted, found.advice) == (True, False, UNFITTED_ADVICE)


def test_the_starter_always_names_the_production_checkpoint() -> None:
    found = verdict(FITTED, default_checkpoint={"source": "starter"})

    assert found.advice == STARTER_ADVICE
    assert "mo-thecreator/Deepfake-audio-detection" in STARTER_ADVICE


@pytest.mark.parametrize(
    "points",
    [
        {"ai_generated": 0.2, "no_sign_found": 0.3},
        {"ai_generated": 1.1, "no_sign_found": 0.3},
        {"ai_generated": 1.0},
    ],
)
def test_points_out_of_order_are_refused(points: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GraphSettings.model_validate({"deepfake_points": points})
