"""The memory of an answer is estimated well, in no time."""

import gc
import operator
import pickle
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deployments.state.sizes import estimated_bytes
from voxgraph.options import ChunkOptions
from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeScore,
    DeepfakeVerdict,
    DiarizationResult,
    Embedding,
    Finding,
    FrameConfidence,
    SpeakerResult,
    Turn,
)


def embedding() -> Embedding:
    return Embedding(np.ones(192, np.float32), "voxceleb", 40 * "a")


def speaker() -> SpeakerResult:
    return SpeakerResult(embedding(), None)


def accent() -> AccentResult:
    return AccentResult("us", 0.9, 0.9, {f"accent {number}": number / 16 for number in range(16)})


def conversation(turns: int, speakers: int = 2, frames: int = 0) -> DiarizationResult:
    names = [f"SPEAKER_{number:02d}" for number in range(speakers)]

    def spoken() -> tuple[Turn, ...]:
        return tuple(Turn(float(at), at + 0.7, names[at % speakers], 1 / (at + 2)) for at in range(turns))

    noise = np.random.default_rng(0).integers(0, 256, (speakers, frames), np.uint8)
    packed = FrameConfidence.pack(0.0, 0.02, dict(zip(names, noise, strict=True))) if frames else None
    embeddings = {name: embedding() for name in names}
    return DiarizationResult(spoken(), spoken(), tuple(names), embeddings=embeddings, frames=packed)


def verdict(chunks: int) -> DeepfakeVerdict:
    scores = [DeepfakeScore(1 / (number + 2), 1 - 1 / (number + 2)) for number in range(chunks)]
    scored = [DeepfakeChunk(at, at / 10, at / 10 + 1, score) for at, score in enumerate(scores)]
    return DeepfakeVerdict.from_chunks(scored, ChunkOptions(1.0, 0.9))


ANSWERS: dict[str, Callable[[], Any]] = {
    "voice": speaker,
    "accent": accent,
    "short conversation": lambda: conversation(10),
    "long conversation": lambda: conversation(20_000, 20),
    "frames of an hour": lambda: conversation(500, 8, 200_000),
    "chunks of ten seconds": lambda: verdict(10),
    "chunks of four hours": lambda: verdict(144_000),
    "analysis": lambda: Analysis(speaker=speaker(), accent=accent(), diarization=conversation(100)),
}


MEASURED_BYTES = 100_000
"""Pickled bytes of the copies of an answer that are measured together. What other threads, or the interpreter
itself, allocate meanwhile was once as much as the 1,100 bytes of a voice."""


def allocated(pickled: bytes) -> tuple[Any, float]:
    """Return the answer as it arrives from another process, and the bytes that Python allocates for it."""
    copies = max(1, MEASURED_BYTES // len(pickled))
    answers = [None] * copies
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(copies):
            answers[number] = pickle.loads(pickled)
        gc.collect()
        return answers[0], tracemalloc.get_traced_memory()[0] / copies
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ANSWERS)
def test_the_estimate_is_near_the_memory_that_an_answer_takes_and_takes_no_time(name: str) -> None:
    pickled = pickle.dumps(ANSWERS[name]())
    pickle.loads(pickled)  # What the first one imports is no answer.
    # What other threads of the tests allocate meanwhile is no answer either.
    answer, taken = min((allocated(pickled) for _ in range(3)), key=operator.itemgetter(1))
    seconds = []

    for _ in range(20):
        started = time.perf_counter()
        estimate = estimated_bytes(answer)
        seconds.append(time.perf_counter() - started)

    assert 0.7 * taken < estimate < 1.7 * taken
    # Measured: 3 to 140 us. Pickling the largest to learn its size takes 1 s.
    assert min(seconds) < 0.002


def test_the_items_of_a_view_count() -> None:
    whole = np.zeros(100_000, np.float32)

    assert estimated_bytes(whole) > 400_000
    assert estimated_bytes(whole[:50_000]) > 200_000
    assert estimated_bytes(whole[:50_000]) < 201_000


@pytest.mark.parametrize("shared", [None, True, Finding.AI_GENERATED])
def test_what_all_answers_share_takes_nothing(shared: object) -> None:
    assert estimated_bytes(shared) == 0


@pytest.mark.parametrize("number", [1, 15, 16, 17, 100, 1_000])
def test_items_count_by_their_number(number: int) -> None:
    items = [bytes(1_000) for _ in range(number)]

    assert 1.0 <= estimated_bytes(items) / (1_000 * number) < 1.2
    assert (
        estimated_bytes({bytes([at % 256, at // 256]): item for at, item in enumerate(items)})
        / (1_000 * number)
        >= 1.0
    )
