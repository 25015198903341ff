"""One speaker encoder in both places: the starter's."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from closeness import cosine as cosine_of
from launched import sample_path
from pyannote.database.util import load_rttm

from config.checkpoints import CHECKPOINTS
from config.settings import AudioLimits, CheckpointSource, EngineOptions, Size
from config.starter_checkpoints import STARTER_CHECKPOINTS
from pipelines.audio.decoding import decode
from pipelines.checkpoints import STARTER_FOLDER, load_tensors, locate
from pipelines.routing import ENCODERS, encoder_by_hub_id
from pipelines.speaker_campplus import CamPlusPlusEncoder
from voxgraph.errors import CheckpointError, SpaceMismatch
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Embedding, Waveform
from voxgraph.similarity import cosine

Clip = Callable[..., Waveform]
STARTER = CheckpointSource(source="starter")
TORCH = EngineOptions(engine="torch")


@pytest.fixture(scope="module")
def encoders() -> dict[ModelKey, CamPlusPlusEncoder]:
    return {model: CamPlusPlusEncoder(locate(model, STARTER), "cpu", TORCH) for model in ENCODERS}


def test_embeddings_of_both_places_live_in_one_space(
    encoders: dict[ModelKey, CamPlusPlusEncoder], clip: Clip
) -> None:
    first, second = (encoders[model]([clip(16_000)])[0] for model in ENCODERS)

    assert (first.model, first.revision) == (second.model, second.revision)
    assert cosine(first, second) == pytest.approx(1.0)
    assert [encoder.info.key for encoder in encoders.values()] == list(ENCODERS)
    assert {encoder.info.source for encoder in encoders.values()} == {"starter"}


def test_the_space_of_the_starter_is_not_that_of_a_published_encoder(
    encoders: dict[ModelKey, CamPlusPlusEncoder], clip: Clip
) -> None:
    (found,) = encoders[ModelKey.SPEAKER_VOXCELEB]([clip(16_000)])
    row = CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB]

    with pytest.raises(SpaceMismatch):
        cosine(found, Embedding(found.vector, row.hub_id, row.revision))


def test_an_embedding_of_the_starter_names_an_encoder(
    encoders: dict[ModelKey, CamPlusPlusEncoder], clip: Clip
) -> None:
    (found,) = encoders[ModelKey.SPEAKER_CNCELEB]([clip(16_000)])

    assert encoder_by_hub_id(found.model) in ENCODERS
    for model in ENCODERS:
        assert encoder_by_hub_id(CHECKPOINTS[model].hub_id) is model
    with pytest.raises(SpaceMismatch, match=r"from nobody/nothing; the known encoders are .*campplus"):
        encoder_by_hub_id("nobody/nothing")


def test_an_embedding_is_a_vector_of_its_own(
    encoders: dict[ModelKey, CamPlusPlusEncoder], clip: Clip
) -> None:
    found = encoders[ModelKey.SPEAKER_VOXCELEB]([clip(2_000, seed) for seed in range(8)])

    assert all(embedding.vector.base is None for embedding in found)
    assert (found[0].vector.shape, found[0].vector.dtype) == ((192,), np.float32)
    assert len(pickle.dumps(found[0])) < 2 * found[0].vector.nbytes


def test_a_louder_recording_of_a_voice_is_the_same_voice(
    encoders: dict[ModelKey, CamPlusPlusEncoder], clip: Clip
) -> None:
    waveform = clip(32_000)

    first, second = encoders[ModelKey.SPEAKER_VOXCELEB]([waveform, waveform * np.float32(0.1)])

    assert cosine(first, second) > 0.9999


def test_the_starter_tells_the_two_voices_of_a_conversation_apart(
    encoders: dict[ModelKey, CamPlusPlusEncoder],
) -> None:
    conversation = decode(sample_path().read_bytes(), AudioLimits())
    (reference,) = load_rttm(sample_path().with_suffix(".rttm")).values()
    turns = [(turn, voice) for turn, _, voice in reference.itertracks(yield_label=True) if turn.duration > 2]
    clips = [
        conversation[round(turn.start * SAMPLE_RATE_HZ) : round(turn.end * SAMPLE_RATE_HZ)]
        for turn, _ in turns
    ]
    vectors = [embedding.vector for embedding in encoders[ModelKey.SPEAKER_VOXCELEB](clips)]

    scores: dict[bool, list[float]] = {True: [], False: []}
    for index, (_, voice) in enumerate(turns):
        for other in range(index):
            scores[voice == turns[other][1]].append(cosine_of(vectors[index], vectors[other]))

    assert min(scores[True]) > max(scores[False])
    assert np.mean(scores[True]) > np.mean(scores[False]) + 0.25


def test_the_weights_are_halved_and_the_statistics_are_not() -> None:
    tensors = load_tensors(STARTER_FOLDER / "speaker" / "model.safetensors")

    assert {t.dtype for t in tensors.values() if t.dim() > 1} == {torch.float16}
    assert {t.dtype for t in tensors.values() if t.dim() == 1} == {torch.float32}


def test_the_licence_and_the_card_lie_beside_the_weights() -> None:
    folder = STARTER_FOLDER / "speaker"

    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert STARTER_CHECKPOINTS[ModelKey.SPEAKER_VOXCELEB].hub_id in card


def test_a_folder_in_the_starters_layout_may_be_named(tmp_path: Path) -> None:
    for file in STARTER_CHECKPOINTS[ModelKey.SPEAKER_CNCELEB].files:
        (tmp_path / file.name).symlink_to(STARTER_FOLDER / "speaker" / file.name)

    found = locate(ModelKey.SPEAKER_CNCELEB, CheckpointSource(source=str(tmp_path), size=Size.STARTER))

    assert (found.source, found.size) == ("local", Size.STARTER)
    assert found.revision.startswith("local-")


def test_the_starters_encoder_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(CheckpointError, match=r"campplus.*not on the hub"):
        locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source="hub", size=Size.STARTER))


def test_the_encoder_says_how_its_cosines_are_calibrated(
    encoders: dict[ModelKey, CamPlusPlusEncoder],
) -> None:
    for encoder in encoders.values():
        assert encoder.info.same_speaker is not None
        assert 0.3 < encoder.info.same_speaker.threshold < 0.5
