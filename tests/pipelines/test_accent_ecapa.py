"""Test accent classification with the ECAPA model."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from closeness import relative_difference

from config.settings import CheckpointSource, Size
from pipelines.accent import EcapaAccentClassifier
from pipelines.checkpoints import LocatedCheckpoint, locate
from training.layouts.common import write_labels
from training.layouts.labels import COMMON_ACCENT_ECAPA, COMMON_ACCENT_XLSR
from voxgraph.errors import AudioTooShort
from voxgraph.options import ModelKey
from voxgraph.results import AccentResult, Waveform

Clip = Callable[..., Waveform]


@pytest.fixture(scope="module")
def classifier(small: Callable[[ModelKey], LocatedCheckpoint]) -> EcapaAccentClassifier:
    return EcapaAccentClassifier(small(ModelKey.ACCENT_ECAPA), "cpu")


def test_the_accent_is_the_most_probable_of_all(classifier: EcapaAccentClassifier, clip: Clip) -> None:
    (found,) = classifier([clip(16_000)])

    assert list(found.probabilities) == COMMON_ACCENT_ECAPA
    assert math.isclose(sum(found.probabilities.values()), 1.0, rel_tol=1e-5)
    assert found.confidence == found.probabilities[found.accent] == max(found.probabilities.values())


def test_probabilities_are_sharper_than_those_of_bare_cosines(
    classifier: EcapaAccentClassifier, clip: Clip
) -> None:
    # Cosines are in -1..1: without the scale of the loss, no two of 16 classes differ by more than exp(2).
    (found,) = classifier([clip(16_000)])

    assert max(found.probabilities.values()) / min(found.probabilities.values()) > math.exp(2)


def test_a_clip_in_a_batch_gives_the_same_result_as_alone(
    classifier: EcapaAccentClassifier, clip: Clip
) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate((800, 30_000, 12_345))]

    together = classifier(clips)

    for waveform, found in zip(clips, together, strict=True):
        (alone,) = classifier([waveform])
        assert found.accent == alone.accent
        assert relative_difference([*found.probabilities.values()], [*alone.probabilities.values()]) < 1e-4


def test_the_order_of_the_labels_is_the_checkpoints_own(
    classifier: EcapaAccentClassifier,
    clip: Clip,
    small: Callable[[ModelKey], LocatedCheckpoint],
    tmp_path: Path,
) -> None:
    for name in ("embedding_model.ckpt", "classifier.ckpt"):
        (tmp_path / name).symlink_to(small(ModelKey.ACCENT_ECAPA).file(name))
    write_labels(tmp_path / "accent_encoder.txt", COMMON_ACCENT_XLSR)
    source = CheckpointSource(source=str(tmp_path), size=Size.SMALL)
    other = EcapaAccentClassifier(locate(ModelKey.ACCENT_ECAPA, source), "cpu")

    (found,), (expected,) = other([clip(16_000)]), classifier([clip(16_000)])

    assert list(found.probabilities) == COMMON_ACCENT_XLSR
    assert [*found.probabilities.values()] == [*expected.probabilities.values()]


def test_us_confidence_is_zero_for_other_accents() -> None:
    american = AccentResult.from_probabilities(["england", "us"], [0.3, 0.7])
    british = AccentResult.from_probabilities(["england", "us"], [0.6, 0.4])

    assert (american.accent, american.confidence, american.us_confidence) == ("us", 0.7, 0.7)
    assert (british.accent, british.confidence, british.us_confidence) == ("england", 0.6, 0.0)


def test_another_number_of_probabilities_than_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        AccentResult.from_probabilities(["england", "us"], [1.0])


def test_the_info_names_model_source_and_labels(classifier: EcapaAccentClassifier) -> None:
    assert (classifier.info.key, classifier.info.source) == ("accent_ecapa", "local")
    assert list(classifier.info.labels) == COMMON_ACCENT_ECAPA


def test_a_clip_below_the_minimum_is_refused(classifier: EcapaAccentClassifier, clip: Clip) -> None:
    assert classifier([clip(classifier.min_samples)])
    with pytest.raises(AudioTooShort):
        classifier([clip(classifier.min_samples - 1)])
