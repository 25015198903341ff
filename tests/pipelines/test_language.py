"""Test language identification."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from closeness import relative_difference

from config.settings import CheckpointSource, Size
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.language import LanguageIdentifier
from training.layouts.common import write_labels
from training.layouts.labels import VOXLINGUA107
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

Clip = Callable[..., Waveform]


@pytest.fixture(scope="module")
def identifier(small: Callable[[ModelKey], LocatedCheckpoint]) -> LanguageIdentifier:
    return LanguageIdentifier(small(ModelKey.LANGUAGE), "cpu")


def relabelled(checkpoint: LocatedCheckpoint, folder: Path, labels: list[str]) -> LocatedCheckpoint:
    """Copy the networks of a checkpoint beside other labels."""
    for name in ("embedding_model.ckpt", "classifier.ckpt"):
        (folder / name).symlink_to(checkpoint.file(name))
    write_labels(folder / "label_encoder.txt", labels)
    return locate(ModelKey.LANGUAGE, CheckpointSource(source=str(folder), size=Size.SMALL))


def test_the_language_is_the_most_probable_of_all(identifier: LanguageIdentifier, clip: Clip) -> None:
    (found,) = identifier([clip(16_000)])

    assert len(found.probabilities) == 107
    assert math.isclose(sum(found.probabilities.values()), 1.0, rel_tol=1e-5)
    assert found.confidence == found.probabilities[found.language] == max(found.probabilities.values())
    assert f"{found.language}: {found.name}" in VOXLINGUA107


def test_a_clip_in_a_batch_gives_the_same_result_as_alone(identifier: LanguageIdentifier, clip: Clip) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate((800, 30_000, 12_345))]

    together = identifier(clips)

    for waveform, found in zip(clips, together, strict=True):
        (alone,) = identifier([waveform])
        assert found.language == alone.language
        assert relative_difference([*found.probabilities.values()], [*alone.probabilities.values()]) < 1e-4


def test_retired_codes_are_replaced_by_their_successors(identifier: LanguageIdentifier, clip: Clip) -> None:
    (found,) = identifier([clip(16_000)])

    assert {"he", "jv", "no", "nn", "tl", "ceb"} <= found.probabilities.keys()
    assert not {"iw", "jw"} & found.probabilities.keys()


def test_the_order_of_the_labels_is_the_checkpoints_own(
    identifier: LanguageIdentifier,
    clip: Clip,
    small: Callable[[ModelKey], LocatedCheckpoint],
    tmp_path: Path,
) -> None:
    turned = [*VOXLINGUA107[1:], VOXLINGUA107[0]]
    other = LanguageIdentifier(relabelled(small(ModelKey.LANGUAGE), tmp_path, turned), "cpu")

    (found,), (expected,) = other([clip(16_000)]), identifier([clip(16_000)])

    assert [*found.probabilities.values()] == [*expected.probabilities.values()]
    assert found.language != expected.language
    assert other.info.labels == tuple(turned)


def test_another_number_of_labels_is_refused(
    small: Callable[[ModelKey], LocatedCheckpoint], tmp_path: Path
) -> None:
    checkpoint = relabelled(small(ModelKey.LANGUAGE), tmp_path, ["en: English", "de: German"])

    with pytest.raises(CheckpointError, match="has 2 labels; expected indices 0 to 106"):
        LanguageIdentifier(checkpoint, "cpu")


def test_the_info_names_model_source_device_and_labels(identifier: LanguageIdentifier) -> None:
    info = identifier.info

    assert (info.key, info.source, info.device) == ("language", "local", "cpu")
    assert info.labels == VOXLINGUA107
    assert info.parameters > 100_000


def test_a_clip_below_the_minimum_is_refused(identifier: LanguageIdentifier, clip: Clip) -> None:
    assert identifier([clip(identifier.min_samples)])
    with pytest.raises(AudioTooShort):
        identifier([clip(identifier.min_samples - 1)])
