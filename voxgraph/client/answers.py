"""From the JSON of an answer to the records of `voxgraph.results`.

Pure functions. Fields that they do not know are ignored, so that a newer server does not break an older
client; a field that is missing raises `KeyError`, which `voxgraph.client.failures` turns into a sentence.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from voxgraph.calibration import SpeakerCalibration
from voxgraph.client.gallery_answers import decision
from voxgraph.errors import ModelUnavailable
from voxgraph.options import ChunkOptions, Task
from voxgraph.results import (
    US_ACCENT,
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeScore,
    DeepfakeVerdict,
    DiarizationResult,
    Embedding,
    Finding,
    FrameConfidence,
    GraphHealth,
    LanguageResult,
    Match,
    ModelInfo,
    OperatingPoints,
    SpeakerResult,
    StoredVoice,
    Turn,
)
from voxgraph.similarity import VoiceComparison

Json = Mapping[str, Any]


def language(answer: Json) -> LanguageResult:
    """Read a detected language."""
    return LanguageResult(
        language=answer["language"],
        name=answer["name"],
        confidence=answer["confidence"],
        probabilities=dict(answer["probabilities"]),
        calibrated=answer.get("calibrated", False),
        warning=answer.get("warning"),
        speech_s=_speech_s(answer),
    )


def speaker(answer: Json) -> SpeakerResult:
    """Read an embedded voice."""
    vector = np.asarray(answer["embedding"], np.float32)
    code = answer.get("language")
    routed = None
    if code is not None:
        confidence = answer["confidence"]
        routed = LanguageResult(code, answer.get("language_name", code), confidence, {code: confidence})
    return SpeakerResult(
        Embedding(vector, answer["model"], answer["revision"]), routed, speech_s=_speech_s(answer)
    )


def comparison(answer: Json) -> VoiceComparison:
    """Read the comparison of two voices."""
    found = answer.get("calibration")
    return VoiceComparison(
        similarity=answer["similarity_score"],
        same_speaker=answer["same_speaker"],
        threshold=answer["threshold"],
        model=answer["model"],
        revision=answer["revision"],
        calibration=None if found is None else SpeakerCalibration(found["slope"], found["intercept"]),
    )


def accent(answer: Json) -> AccentResult:
    """Read an identified accent."""
    return AccentResult(
        accent=answer["accent"],
        confidence=answer["confidence"],
        us_confidence=answer["confidence"] if answer["accent"] == US_ACCENT else 0.0,
        probabilities=dict(answer["probabilities"]),
        calibrated=answer.get("calibrated", False),
        speech_s=_speech_s(answer),
    )


def diarization(answer: Json) -> DiarizationResult:
    """Read who speaks when; the answer has no exclusive turns beside the others."""
    turns = tuple(
        Turn(turn["start"], turn["end"], turn["speaker"], turn.get("confidence"))
        for turn in answer["diarization_results"]
    )
    embeddings, frames = answer.get("speaker_embeddings"), answer.get("frame_confidence")
    identities = answer.get("identities")
    return DiarizationResult(
        turns,
        (),
        tuple(answer["speakers"]),
        answer.get("speakers_requested"),
        answer.get("speakers_note"),
        None if embeddings is None else {speaker: _voice(given) for speaker, given in embeddings.items()},
        None if frames is None else _frames(frames),
        None if identities is None else {name: decision(found) for name, found in identities.items()},
    )


def _voice(answer: Json) -> Embedding:
    return Embedding(np.array(answer["embedding"], np.float32), answer["model"], answer["revision"])


def _frames(answer: Json) -> FrameConfidence:
    values = {speaker: np.frombuffer(b64decode(data), np.uint8) for speaker, data in answer["data"].items()}
    return FrameConfidence.pack(answer["start"], answer["step"], values)


def deepfake(answer: Json) -> DeepfakeVerdict:
    """Read which chunks are AI-generated."""
    given, summary = answer["operating_points"], answer["summary"]
    points = OperatingPoints(given["ai_generated"], given["no_sign_found"], given.get("fitted", False))
    return DeepfakeVerdict(
        verdict=Finding(answer["verdict"]),
        confidence=answer["overall_confidence"],
        ai_generated_chunks=summary["ai_generated_chunks"],
        chunk_confidence=summary["average_confidence"],
        chunks=tuple(_chunk(chunk, points) for chunk in answer["chunks"]),
        options=ChunkOptions(summary["chunk_duration_seconds"], summary["overlap_ratio"]),
        advice=answer.get("advice"),
        speech_s=_speech_s(answer),
    )


def _chunk(chunk: Json, points: OperatingPoints) -> DeepfakeChunk:
    given = chunk["class_probabilities"]
    score = DeepfakeScore(given["ai_generated"], given["real"], points)
    return DeepfakeChunk(chunk["chunk_index"], chunk["start_time"], chunk["end_time"], score)


TASKS: dict[Task, Callable[[Json], Any]] = {
    "language": language,
    "speaker": speaker,
    "accent": accent,
    "diarization": diarization,
    "deepfake": deepfake,
}
"""How the answer of each task is read."""


def analysis(answer: Json) -> Analysis:
    """Read all answers about one recording; a task that was not asked for is not in it."""
    found: dict[str, Any] = {task: of_task(answer, task) for task in TASKS if answer.get(task) is not None}
    return Analysis(**found, speech_s=_speech_s(answer))


def of_task(answer: Json, task: Task) -> Any:
    """Read the answer to one task of an analysis, with the speech that was found in the recording."""
    return TASKS[task]({**answer[task], "quality": answer.get("quality")})


def _speech_s(answer: Json) -> float | None:
    """Return the seconds of speech in the recording, if the answer has notes about it."""
    seconds: float | None = (answer.get("quality") or {}).get("speech_s")
    return seconds


def matches(answer: Json) -> list[Match]:
    """Read the stored voices that are most similar to the one of the question."""
    return [
        Match(match["id"], match["similarity"], match["is_match"], match.get("metadata"))
        for match in answer["top_matches"]
    ]


def health(answer: Json) -> GraphHealth:
    """Read which models answer."""
    models = {key: _model(key, given) for key, given in answer["models"].items()}
    return GraphHealth(models, dict(answer["failed"]), answer["memory_usage_mb"])


def model(answer: Json, key: str) -> ModelInfo:
    """Read what one model has loaded, from the health of the graph.

    Raises:
        ModelUnavailable: The model is not in the graph, or does not answer.
    """
    if key in answer["models"]:
        return _model(key, answer["models"][key])
    raise ModelUnavailable(answer["failed"].get(key, f"Model {key} is not part of this graph."))


def _model(key: str, given: Json) -> ModelInfo:
    calibration = given.get("same_speaker")
    return ModelInfo(
        key=key,
        hub_id=given["hub_id"],
        revision=given["revision"],
        source=given["source"],
        device=given["device"],
        parameters=given["parameters"],
        engine=given["engine"],
        precision=given["precision"],
        engine_reason=given["engine_reason"],
        batch_items=given["batch_items"],
        same_speaker=None
        if calibration is None
        else SpeakerCalibration(calibration["slope"], calibration["intercept"]),
    )


def embedding_file(embedding: Embedding) -> bytes:
    """Return an embedding as the JSON that ``/compare_embedding`` reads."""
    return json.dumps(_embedding(embedding)).encode()


def search_body(voice: Embedding, gallery: Iterable[StoredVoice]) -> dict[str, Any]:
    """Return the body of ``/find-match`` without its options."""
    stored = [{"id": each.id, "metadata": each.metadata, **_embedding(each.embedding)} for each in gallery]
    asked = _embedding(voice)
    return {"user_embedding": asked.pop("embedding"), **asked, "stored_embeddings": stored}


def _embedding(embedding: Embedding) -> dict[str, Any]:
    vector = np.asarray(embedding.vector).tolist()
    return {"embedding": vector, "model": embedding.model, "revision": embedding.revision}
