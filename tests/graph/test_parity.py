"""One clip gets the same results over HTTP, through a handle, and from the pipelines in this process."""

import pkgutil
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from launched import ROOT, Launched
from small_checkpoints import small_checkpoint

from config.settings import AudioLimits, EngineOptions
from deployments.loading import PIPELINES
from pipelines.audio import decode
from pipelines.chunking import chunk_spans
from pipelines.diarization import Diarizer
from pipelines.routing import encoder_of
from voxgraph.handles import Voxgraph
from voxgraph.options import ChunkOptions, ModelKey, SpeakerCount
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    Analysis,
    DeepfakeChunk,
    DeepfakeVerdict,
    SpeakerResult,
    Waveform,
)
from voxgraph.similarity import compare

OPTIONS = ChunkOptions(2.0, 0.25)
CLOSE = {"rel": 1e-4, "abs": 1e-5}
RECORDING = (ROOT / "tests" / "data" / "voice.wav").read_bytes()
OTHER = (ROOT / "tests" / "data" / "other.wav").read_bytes()


def load_pipeline(model: ModelKey) -> Any:
    """Load the pipeline of a model as a replica does."""
    return pkgutil.resolve_name(PIPELINES[model])(small_checkpoint(model), "cpu", EngineOptions())


@pytest.fixture(scope="module")
def waveform() -> Waveform:
    return decode(RECORDING, AudioLimits())


@pytest.fixture(scope="module")
def in_process(waveform: Waveform) -> Analysis:
    (language,) = load_pipeline(ModelKey.LANGUAGE)([waveform])
    (embedding,) = load_pipeline(encoder_of(language))([waveform])
    (accent,) = load_pipeline(ModelKey.ACCENT_XLSR)([waveform])
    diarizer = Diarizer(small_checkpoint(ModelKey.DIARIZATION_COMMUNITY_1), "cpu", EngineOptions())
    spans = chunk_spans(len(waveform), OPTIONS)
    detector = load_pipeline(ModelKey.DEEPFAKE)
    chunks = [
        DeepfakeChunk(index, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, *detector([waveform[start:end]]))
        for index, (start, end) in enumerate(spans)
    ]
    return Analysis(
        language=language,
        speaker=SpeakerResult(embedding, language),
        accent=accent,
        diarization=diarizer(waveform, SpeakerCount()),
        deepfake=DeepfakeVerdict.from_chunks(chunks, OPTIONS),
    )


@pytest.fixture(scope="module")
def graph(service: Launched) -> Iterator[Voxgraph]:
    with service.driver():
        yield Voxgraph.connect()


@pytest.fixture(scope="module")
def by_handle(graph: Voxgraph, waveform: Waveform) -> Analysis:
    return graph.analyze(waveform, options=OPTIONS)


def test_a_handle_returns_what_the_pipelines_return(by_handle: Analysis, in_process: Analysis) -> None:
    ours, theirs = by_handle, in_process
    assert ours.language.top() == pytest.approx(theirs.language.top(), **CLOSE)
    assert ours.accent.probabilities == pytest.approx(theirs.accent.probabilities, **CLOSE)
    assert compare(ours.speaker.embedding, theirs.speaker.embedding).similarity > 0.99999
    assert ours.diarization == theirs.diarization
    assert ours.deepfake.is_deepfake == theirs.deepfake.is_deepfake
    assert ours.deepfake.confidence == pytest.approx(theirs.deepfake.confidence, **CLOSE)
    assert [chunk.start_s for chunk in ours.deepfake.chunks] == [c.start_s for c in theirs.deepfake.chunks]


def test_http_returns_what_a_handle_returns(by_handle: Analysis, http: httpx2.Client) -> None:
    response = http.post(
        "/v1/analyze",
        content=RECORDING,
        params={"chunk_duration": OPTIONS.chunk_s, "overlap": OPTIONS.overlap},
    )
    answer, expected = response.json(), by_handle

    assert answer["language"]["language"] == expected.language.language
    assert answer["language"]["probabilities"] == pytest.approx(expected.language.top(), **CLOSE)
    assert answer["speaker"]["embedding"] == pytest.approx(
        expected.speaker.embedding.vector.tolist(), rel=1e-3, abs=1e-3
    )
    assert (answer["speaker"]["model"], answer["speaker"]["revision"]) == (
        expected.speaker.embedding.model, expected.speaker.embedding.revision,
    )  # fmt: skip
    assert answer["accent"]["accent"] == expected.accent.accent
    assert answer["accent"]["us_confidence"] == pytest.approx(100 * expected.accent.us_confidence, abs=0.01)
    turns = [
        (turn["start"], turn["end"], turn["speaker"]) for turn in answer["diarization"]["diarization_results"]
    ]
    assert turns == [(round(t.start_s, 3), round(t.end_s, 3), t.speaker) for t in expected.diarization.turns]
    assert answer["deepfake"]["is_deepfake"] == expected.deepfake.is_deepfake
    assert answer["deepfake"]["overall_confidence"] == pytest.approx(expected.deepfake.confidence, **CLOSE)
    assert answer["deepfake"]["summary"]["ai_generated_chunks"] == expected.deepfake.ai_generated_chunks


def test_decisions_over_http_are_those_of_the_results(
    graph: Voxgraph, waveform: Waveform, http: httpx2.Client
) -> None:
    first, second = graph.embed_pair(waveform, decode(OTHER, AudioLimits()))
    comparison = compare(first.embedding, second.embedding, 0.4)
    answer = http.post(
        "/compare", files={"file1": RECORDING, "file2": OTHER}, params={"threshold": 0.4}
    ).json()
    assert answer["similarity_score"] == pytest.approx(comparison.similarity, **CLOSE)
    assert answer["same_speaker"] == comparison.same_speaker

    unit = http.post("/embedding", content=RECORDING).json()["embedding"]
    vector = graph.embed(waveform).embedding.normalized().vector
    assert np.dot(unit, vector) == pytest.approx(1.0, abs=1e-5)

    turns = http.post("/diarize", content=RECORDING, params={"min_duration": 1.0}).json()
    assert turns["segments_count"] == len(graph.diarize(waveform).without_short_turns(1.0).turns)
