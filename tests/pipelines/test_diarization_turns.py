"""Test that turns equal those of pyannote for any outputs of the windows, in blocks and without."""

import warnings
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyannote.audio.pipelines import clustering as pyannote_clustering
from pyannote.audio.pipelines.clustering import VBxClustering
from pyannote.audio.pipelines.speaker_diarization import SpeakerDiarization
from pyannote.audio.utils.signal import Binarize
from pyannote.core import SlidingWindow, SlidingWindowFeature
from scipy.cluster import hierarchy
from small_checkpoints import small_checkpoint

from pipelines.chunking import CONVERSATION_HOP, CONVERSATION_WINDOW, conversation_parts
from pipelines.diarization import Diarizer, clustering, linkage, turns
from pipelines.diarization.windows import concatenate
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import Turn

DIMENSION = 256
COUNTS = st.one_of(
    st.just(SpeakerCount()),
    st.builds(SpeakerCount, num_speakers=st.integers(1, 6)),
    st.builds(SpeakerCount, min_speakers=st.integers(1, 3), max_speakers=st.integers(3, 6)),
    st.builds(SpeakerCount, max_speakers=st.integers(1, 3)),
)


@pytest.fixture(scope="module", params=[ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1])
def diarizer(request: pytest.FixtureRequest) -> Diarizer:
    return Diarizer(small_checkpoint(request.param), "cpu")


def conversation(
    diarizer: Diarizer, windows: int, voices: int, noise: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a conversation: speech (windows, frames, 3) of 0 and 1, embeddings (windows, 3, dimension)."""
    generator = np.random.default_rng(seed)
    frames = diarizer.windows.segmentation.model.num_frames(160_000)
    step = frames // 10
    talks = np.zeros((frames + windows * step, voices), bool)
    for voice in range(voices):
        for _ in range(1 + len(talks) // 900):
            start = generator.integers(len(talks))
            talks[start : start + generator.integers(10, 500), voice] = True
    sounds = generator.normal(size=(voices, DIMENSION))
    speech = np.zeros((windows, frames, 3), np.float32)
    embeddings = generator.normal(size=(windows, 3, DIMENSION)).astype(np.float32)
    for window in range(windows):
        here = talks[window * step : window * step + frames]
        chosen = generator.permutation(np.argsort(-here.sum(axis=0), kind="stable")[:3])
        speech[window, :, : len(chosen)] = here[:, chosen]
        # At most two speakers overlap, as in the powerset.
        speech[window][speech[window].sum(axis=1) > 2] = (1, 1, 0)
        near = sounds[chosen] + noise * generator.normal(size=(len(chosen), DIMENSION))
        embeddings[window, : len(chosen)] = near
    return speech, embeddings


def outputs_of(speech: np.ndarray, embeddings: np.ndarray) -> WindowOutputs:
    windows, speakers = np.nonzero(speech.any(axis=1))
    alone = (speech * (speech.sum(axis=2, keepdims=True) == 1)).sum(axis=1)
    return WindowOutputs(
        speech=np.packbits(speech.astype(bool), axis=1),
        frames=speech.shape[1],
        windows=windows,
        speakers=speakers,
        frames_alone=alone[windows, speakers].astype(np.int32),
        embeddings=embeddings[windows, speakers],
    )


@cache
def stock_pipeline(diarizer: Diarizer) -> Any:
    """Build pyannote's own pipeline with the same networks and hyperparameters."""
    stock: Any = SpeakerDiarization(
        segmentation=diarizer.windows.segmentation.model,
        embedding=diarizer.windows._embedding.model_,
        plda=getattr(diarizer.clustering, "plda", None) or clustering.NoPlda(),
        clustering=type(diarizer.clustering).__name__,
    )
    stock.instantiate(
        {
            "clustering": diarizer.clustering.parameters(instantiated=True),
            "segmentation": {"min_duration_off": diarizer._min_duration_off},
        }
    )
    return stock


def pyannote_turns(
    diarizer: Diarizer, speech: np.ndarray, embeddings: np.ndarray, speakers: SpeakerCount
) -> list[Turn]:
    """Compute the turns of the same windows with pyannote's own pipeline, linkage and VBx."""
    stock = stock_pipeline(diarizer)
    window_grid = SlidingWindow(start=0.0, duration=10.0, step=1.0)
    stock.get_segmentations = lambda *_, **__: SlidingWindowFeature(speech.copy(), window_grid)
    stock.get_embeddings = lambda *_, **__: embeddings.copy()
    options = {key: value for key, value in asdict(speakers).items() if value is not None}
    output = stock.apply({"uri": "recording"}, **options)
    seconds, names = len(speech) + 9.0, dict[str, str]()
    return [
        Turn(segment.start, min(segment.end, seconds), names.setdefault(label, f"SPEAKER_{len(names):02d}"))
        for segment, _, label in output.speaker_diarization.itertracks(yield_label=True)
        if segment.start < seconds
    ]


def missing(turns: Iterable[Turn], speakers: SpeakerCount) -> float:
    """Return by how many speakers the turns differ from the nearest number that was requested."""
    found, (low, high) = len({turn.speaker for turn in turns}), speakers.bounds
    return max(low - found, found - high, 0)


@pytest.mark.parametrize("in_blocks", [False, True])
def test_turns_are_those_of_pyannote(
    diarizer: Diarizer, in_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scipy_linkage = hierarchy.linkage
    if in_blocks:
        for module, name, value in (
            (clustering, "MAX_FULL_MATRIX", 3), (clustering, "BLOCK", 7), (clustering, "BLOCK_CELLS", 50),
            (linkage, "BLOCK", 7), (linkage, "SEARCH_BATCH", 2), (turns, "BLOCK", 100),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, value)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.integers(1, 60), st.integers(1, 6), st.sampled_from([0.1, 0.7, 1.5]), st.integers(0, 10**6), COUNTS
    )
    @example(1, 1, 0.1, 4044, SpeakerCount(num_speakers=1))  # no speech
    def check(windows: int, voices: int, noise: float, seed: int, speakers: SpeakerCount) -> None:
        speech, embeddings = conversation(diarizer, windows, voices, noise, seed)
        outputs = outputs_of(speech, embeddings)
        usable = int((outputs.frames_alone >= 0.2 * outputs.frames).sum())
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            warnings.simplefilter("ignore")
            found = diarizer.turns(outputs, (windows + 9) * 16_000, speakers)
            assert (found.speakers_note is not None) == (len(found.speakers) < (speakers.least or 0))
            if (speakers.least or 0) > usable and isinstance(diarizer.clustering, VBxClustering):
                assert len(found.speakers) <= speakers.bounds[1]  # pyannote raises
                return
            patch.setattr(pyannote_clustering, "linkage", scipy_linkage)
            theirs = pyannote_turns(diarizer, speech, embeddings, speakers)
        # Where pyannote does not keep to the request, the voices of the windows may come nearer to it.
        assert missing(found.turns, speakers) <= missing(theirs, speakers)
        if missing(found.turns, speakers) == missing(theirs, speakers):
            assert list(found.turns) == theirs

    check()


def test_outputs_of_parts_concatenate_to_those_of_the_whole(diarizer: Diarizer) -> None:
    generator = np.random.default_rng(1)
    waveform = (0.1 * generator.normal(size=47 * 16_000 + 123)).astype(np.float32)
    whole = diarizer.windows(waveform)

    parts = conversation_parts(len(waveform))
    together = concatenate((diarizer.windows(waveform[start:end]) for start, end in parts), 39)

    assert len(parts) == 3
    assert (diarizer.windows.window, diarizer.windows.hop) == (CONVERSATION_WINDOW, CONVERSATION_HOP)
    assert len(whole.speech) == 39
    np.testing.assert_array_equal(together.speech, whole.speech)
    np.testing.assert_array_equal(together.windows, whole.windows)
    np.testing.assert_allclose(together.embeddings, whole.embeddings, rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(1e-4, 0.5))
def test_the_resnet_input_is_what_pyannote_computes_for_each_window(
    diarizer: Diarizer, windows: int, seed: int, loudness: float
) -> None:
    analyzer = diarizer.windows
    length = (windows - 1) * analyzer.hop + analyzer.window
    samples = torch.randn(length, generator=torch.Generator().manual_seed(seed)) * loudness
    clips = samples.unfold(0, analyzer.window, analyzer.hop).unsqueeze(1)

    expected = analyzer._embedding.model_.compute_fbank(clips)

    torch.testing.assert_close(analyzer._features(samples), expected, rtol=1e-4, atol=1e-4)


def test_progress_is_reported_after_each_batch_to_the_end(diarizer: Diarizer) -> None:
    reports: list[tuple[int, int]] = []
    waveform = np.zeros(50 * 16_000 + 1, np.float32)

    diarizer(waveform, SpeakerCount(), lambda done, total: reports.append((done, total)))

    assert reports[-1] == (42, 42)
    assert [done for done, _ in reports] == sorted({done for done, _ in reports})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.integers(2, 200), st.integers(1, 4), st.sampled_from([0.0, 0.05, 0.5]))
def test_turns_are_those_of_pyannotes_binarize(
    data: st.DataObject, count: int, speakers: int, min_duration_off: float
) -> None:
    bits = data.draw(st.binary(min_size=count * speakers, max_size=count * speakers))
    talks = np.frombuffer(bits, np.uint8).reshape(count, speakers) % 2 == 1
    frames = SlidingWindow(start=0.0, duration=0.0619375, step=0.016875)

    ours = turns.to_turns(talks, frames, min_duration_off)
    stock = Binarize(min_duration_off=min_duration_off)(SlidingWindowFeature(talks.astype(float), frames))

    theirs = [(segment.start, segment.end, label) for segment, _, label in stock.itertracks(yield_label=True)]
    assert ours.tolist() == sorted(theirs)
