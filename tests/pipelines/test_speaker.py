"""Test speaker embeddings."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
from closeness import relative_difference

from config.checkpoints import CHECKPOINTS
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.speaker import SpeakerEncoder
from voxgraph.errors import AudioTooShort, SpaceMismatch
from voxgraph.options import ModelKey
from voxgraph.results import Waveform
from voxgraph.similarity import cosine

Clip = Callable[..., Waveform]
MODELS = [ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB]


@pytest.fixture(scope="module")
def encoders(small: Callable[[ModelKey], LocatedCheckpoint]) -> dict[ModelKey, SpeakerEncoder]:
    return {model: SpeakerEncoder(small(model), "cpu") for model in MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_an_embedding_names_the_model_and_revision_of_its_space(
    model: ModelKey, encoders: dict[ModelKey, SpeakerEncoder], clip: Clip
) -> None:
    (found,) = encoders[model]([clip(16_000)])

    assert (found.model, found.revision) == (CHECKPOINTS[model].hub_id, encoders[model].info.revision)
    assert (found.vector.shape, found.vector.dtype) == ((192,), np.float32)
    assert abs(np.linalg.norm(found.vector) - 1.0) > 0.1, "vectors are not normalized"
    assert (encoders[model].info.key, encoders[model].info.labels) == (model, ())


@pytest.mark.parametrize("model", MODELS)
def test_a_clip_in_a_batch_embeds_as_it_does_alone(
    model: ModelKey, encoders: dict[ModelKey, SpeakerEncoder], clip: Clip
) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate((700, 30_000, 12_345))]

    together = encoders[model](clips)

    for waveform, found in zip(clips, together, strict=True):
        (alone,) = encoders[model]([waveform])
        assert relative_difference(found.vector, alone.vector) < 1e-4
        assert cosine(found, alone) >= 0.99999


def test_loudness_does_not_change_a_voice(encoders: dict[ModelKey, SpeakerEncoder], clip: Clip) -> None:
    waveform = clip(32_000)

    first, second = encoders[ModelKey.SPEAKER_VOXCELEB]([waveform, waveform * np.float32(0.1)])

    assert cosine(first, second) > 0.9999


def test_the_two_encoders_have_spaces_of_their_own(
    encoders: dict[ModelKey, SpeakerEncoder], clip: Clip
) -> None:
    first, second = (encoders[model]([clip(16_000)])[0] for model in MODELS)

    with pytest.raises(SpaceMismatch):
        cosine(first, second)


def test_an_embedding_does_not_carry_its_batch(encoders: dict[ModelKey, SpeakerEncoder], clip: Clip) -> None:
    found = encoders[ModelKey.SPEAKER_VOXCELEB]([clip(1_000, seed) for seed in range(8)])

    assert all(embedding.vector.base is None for embedding in found)
    assert len(pickle.dumps(found[0])) < 2 * found[0].vector.nbytes


def test_a_clip_below_the_minimum_is_refused(encoders: dict[ModelKey, SpeakerEncoder], clip: Clip) -> None:
    encoder = encoders[ModelKey.SPEAKER_CNCELEB]

    assert encoder([clip(encoder.min_samples)])
    with pytest.raises(AudioTooShort):
        encoder([clip(encoder.min_samples - 1)])
