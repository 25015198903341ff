"""The graph gives correct results over HTTP on clips of voices that its small networks never heard."""

from itertools import combinations
from typing import Any

import httpx2
import numpy as np
import pytest
from pyannote.core import Annotation, Segment
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate
from recordings import DATA, LABELS, post, wav

from pipelines.routing import encoder_for
from voxgraph.similarity import DEFAULT_THRESHOLD

MULTILINGUAL = [name for name, label in LABELS.items() if "language" in label and "accent" not in label]
ACCENTED = [name for name, label in LABELS.items() if "accent" in label]
HUB_ID = {
    "speaker_voxceleb": "speechbrain/spkrec-ecapa-voxceleb",
    "speaker_cnceleb": "LanceaKing/spkrec-ecapa-cnceleb",
}


def ask(http: httpx2.Client, path: str, name: str, **options: Any) -> dict[str, Any]:
    return post(http, path, files={"file": (name, (DATA / name).read_bytes())}, **options)


@pytest.mark.parametrize("name", MULTILINGUAL)
def test_the_language_is_identified_and_selects_the_encoder(http: httpx2.Client, name: str) -> None:
    expected = LABELS[name]["language"]

    answer = ask(http, "/extract-embedding", name)

    assert answer["language"] == expected
    assert answer["model"] == HUB_ID[encoder_for(expected)]


def test_a_voice_matches_itself_and_no_other(http: httpx2.Client) -> None:
    answers = {name: ask(http, "/embedding", name) for name in ACCENTED}
    # A clip of a misidentified language is embedded by the other encoder and cannot be compared with these.
    model = HUB_ID["speaker_voxceleb"]
    vectors = {name: unit(a["embedding"]) for name, a in answers.items() if a["model"] == model}
    assert len(vectors) >= 5
    pairs = list(combinations(vectors, 2))
    same = [vectors[a] @ vectors[b] for a, b in pairs if LABELS[a]["speaker"] == LABELS[b]["speaker"]]
    other = [vectors[a] @ vectors[b] for a, b in pairs if LABELS[a]["speaker"] != LABELS[b]["speaker"]]

    assert min(same) > DEFAULT_THRESHOLD > max(other)


@pytest.mark.parametrize("path", ["/identify", "/classify-us-accent"])
@pytest.mark.parametrize("name", ACCENTED)
def test_only_american_english_is_classified_as_american(http: httpx2.Client, path: str, name: str) -> None:
    confidence = post(http, path, files={"file": wav(name)})["us_confidence"]

    # us_confidence is 0 unless American is the most probable accent.
    assert (confidence > 0) == (LABELS[name]["accent"] == "us")


def test_the_vocoded_part_is_flagged(http: httpx2.Client) -> None:
    answer = ask(http, "/audio/analyze-audio", "spliced.flac", params={"chunk_duration": 2, "overlap": 0.5})

    start, end = LABELS["spliced.flac"]["vocoded"]
    instants = np.arange(0, max(chunk["end_time"] for chunk in answer["chunks"]), 0.01)
    truth = (instants >= start) & (instants < end)
    flagged = np.zeros_like(truth)
    for chunk in answer["chunks"]:
        if chunk["is_ai_generated"]:
            flagged |= (instants >= chunk["start_time"]) & (instants < chunk["end_time"])
    assert 2 * (truth & flagged).sum() / (truth.sum() + flagged.sum()) >= 0.85


def unit(vector: list[float]) -> np.ndarray:
    return np.array(vector) / np.linalg.norm(vector)


@pytest.mark.parametrize("num_speakers", [None, 2])
def test_the_turns_of_a_conversation_are_found(http: httpx2.Client, num_speakers: int | None) -> None:
    name, options = "conversation.flac", {} if num_speakers is None else {"num_speakers": num_speakers}
    reference = load_rttm(DATA / "conversation.rttm")["conversation"]

    answer = ask(http, "/diarize", name, params=options)

    assert len(answer["speakers"]) == LABELS[name]["speakers"]
    found = Annotation()
    for number, turn in enumerate(answer["diarization_results"]):
        found[Segment(turn["start"], turn["end"]), number] = turn["speaker"]
    assert DiarizationErrorRate(collar=0.0, skip_overlap=False)(reference, found) <= 0.15
