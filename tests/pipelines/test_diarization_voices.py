"""Test which frames each speaker of a window is embedded from, and which pairs share an embedding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from launched import sample_path

from config.settings import AudioLimits, CheckpointSource, EngineOptions
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.diarization.campplus_diarizer import CamPlusPlusDiarizer
from pipelines.diarization.clustering import UNASSIGNED, cluster
from pipelines.diarization.voices import MIN_ALONE_FRAMES, MIN_SHARED, representatives, voice_masks
from pipelines.diarization.windows import outputs_of
from pipelines.vendored.pyannote import AgglomerativeClustering
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ

FRAMES = 100
EVERY_FRAME = np.arange(FRAMES)


def speech(*spans: tuple[int, int, int]) -> np.ndarray:
    """Return one window in which speakers talk between two frames: (1, frames, 3)."""
    found = np.zeros((1, FRAMES, 3), np.float32)
    for speaker, start, end in spans:
        found[0, start:end, speaker] = 1
    return found


def test_a_speaker_is_embedded_from_the_frames_alone() -> None:
    masks = voice_masks(speech((0, 0, 60), (1, 45, 100)), EVERY_FRAME)

    assert np.flatnonzero(masks[0, 0]).tolist() == list(range(45))
    assert np.flatnonzero(masks[0, 1]).tolist() == list(range(60, 100))
    assert not masks[0, 2].any()


def test_a_speaker_who_is_hardly_alone_is_embedded_from_all_frames() -> None:
    masks = voice_masks(speech((0, 0, 60), (1, MIN_ALONE_FRAMES - 1, 100)), EVERY_FRAME)

    assert np.flatnonzero(masks[0, 0]).tolist() == list(range(60))


def test_a_frame_of_the_features_takes_the_nearest_of_the_segmentation() -> None:
    masks = voice_masks(speech((0, 0, 50)), np.repeat(EVERY_FRAME, 2))

    assert masks.shape == (1, 3, 2 * FRAMES)
    assert np.flatnonzero(masks[0, 0]).tolist() == list(range(100))


def share(masks: np.ndarray, firsts: np.ndarray, one: int, other: int) -> float:
    own = set((firsts[one] + np.flatnonzero(masks[one])).tolist())
    others = set((firsts[other] + np.flatnonzero(masks[other])).tolist())
    return len(own & others) / max(1, len(own | others))


@given(st.integers(1, 20), st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_every_pair_has_the_embedding_of_one_with_almost_the_same_frames(pairs: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    firsts = np.sort(generator.integers(0, 10, pairs)) * 10
    bounds = np.sort(generator.integers(0, FRAMES + 1, (pairs, 2)), axis=1)
    masks = (bounds[:, :1] <= EVERY_FRAME) & (bounds[:, 1:] > EVERY_FRAME)

    sources = representatives(masks, firsts)

    chosen = np.unique(sources)
    assert sources[chosen].tolist() == chosen.tolist()
    for pair, source in enumerate(sources):
        if pair != source:
            assert share(masks, firsts, pair, source) >= MIN_SHARED
    for index, one in enumerate(chosen):
        assert all(share(masks, firsts, one, other) < MIN_SHARED for other in chosen[:index])


def test_a_voice_that_talks_through_several_windows_is_embedded_once() -> None:
    masks, firsts = np.ones((3, FRAMES), bool), np.array([0, 10, 20])

    assert representatives(masks, firsts).tolist() == [1, 1, 1]


def test_every_pair_is_embedded_if_none_may_share() -> None:
    masks, firsts = np.ones((3, FRAMES), bool), np.array([0, 0, 10])

    assert representatives(masks, firsts, np.inf).tolist() == [0, 1, 2]


def test_two_speakers_of_a_window_are_embedded_apart() -> None:
    masks = voice_masks(speech((0, 0, 50), (1, 50, 100)), EVERY_FRAME)[0, :2]

    assert representatives(masks, np.zeros(2, np.intp)).tolist() == [0, 1]


def test_no_pairs_need_no_embedding() -> None:
    assert len(representatives(np.zeros((0, FRAMES), bool), np.zeros(0, np.intp))) == 0


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_an_embedding_is_that_of_the_speakers_own_frames(engine: str) -> None:
    checkpoint = locate(ModelKey.DIARIZATION_31, CheckpointSource(source="starter"))
    options = EngineOptions(engine=engine, precision="float32")
    windows = CamPlusPlusDiarizer(checkpoint, "cpu", options).windows
    waveform = decode(sample_path().read_bytes(), AudioLimits())[: 16 * SAMPLE_RATE_HZ]

    found = windows(waveform)

    speech = np.unpackbits(found.speech, axis=1, count=found.frames)
    masks = voice_masks(speech, windows._nearest)[found.windows, found.speakers]
    firsts = found.windows * 100
    (features,) = windows._embedding.features([torch.from_numpy(waveform)])
    assert len(found.windows) > len(np.unique(representatives(masks, firsts)))
    for pair, source in enumerate(representatives(masks, firsts)):
        own = features[torch.from_numpy(firsts[source] + np.flatnonzero(masks[source]))]
        expected = windows._embedding.embed_features([own])[0].numpy()
        np.testing.assert_allclose(found.embeddings[pair], expected, rtol=1e-4, atol=1e-4)


def test_the_speakers_of_a_window_get_distinct_clusters() -> None:
    generator = np.random.default_rng(0)
    voices = generator.normal(size=(2, 16))
    several = np.concatenate([speech((0, 0, 40), (1, 40, 80), (2, 80, 100))] * 12)
    windows, speakers = np.nonzero(several.any(axis=1))
    # The third speaker of each window has the voice of the first.
    embeddings = voices[speakers % 2] + 0.05 * generator.normal(size=(len(windows), 16))
    outputs = outputs_of(several, windows, speakers, embeddings.astype(np.float32))
    parameters = {"method": "centroid", "min_cluster_size": 2, "threshold": 0.7}
    found = {}
    for constrained in (False, True):
        clustering = AgglomerativeClustering(constrained_assignment=constrained)
        clustering.instantiate(parameters)
        found[constrained] = cluster(clustering, outputs, (1, 20)).reshape(12, 3)

    assert all(len(set(row.tolist())) == 2 for row in found[False])
    assert all(sorted(row.tolist()) == [UNASSIGNED, 0, 1] for row in found[True])


def test_one_voice_in_overlap_is_not_a_second_speaker() -> None:
    checkpoint = locate(ModelKey.DIARIZATION_31, CheckpointSource(source="starter"))
    diarizer = CamPlusPlusDiarizer(checkpoint, "cpu", EngineOptions(engine="torch"))
    # The second local speaker has the first one's voice, and they overlap.
    spoken = np.zeros((1, 589, 3), np.float32)
    spoken[:, :400, 0] = spoken[:, 300:589, 1] = 1
    windows, speakers = np.nonzero(spoken.any(axis=1))
    outputs = outputs_of(spoken, windows, speakers, np.ones((2, 192), np.float32))

    found = diarizer.turns(outputs, 10 * SAMPLE_RATE_HZ, SpeakerCount())

    (turn,) = found.turns
    assert (turn.speaker, found.speakers) == ("SPEAKER_00", ("SPEAKER_00",))
    assert turn.end_s - turn.start_s > 9.9
