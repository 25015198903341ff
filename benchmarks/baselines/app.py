"""The naive servers in one application: each endpoint saves a temporary file and calls the model."""

import os
import tempfile
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from fastapi import FastAPI, UploadFile

from config.settings import Size
from voxgraph.options import ModelKey

Answer = Callable[[str], dict[str, Any]]
"""Maps the path of a recording to a JSON answer."""

ANALYZE_PATHS = ("/extract-embedding", "/identify", "/diarize", "/audio/analyze-audio")
"""Endpoints that ``/v1/analyze`` calls in sequence."""


def create_app(folder: Path, models: Collection[ModelKey], size: Size) -> FastAPI:
    """Load the models and create an application with their endpoints.

    Args:
        folder: Output of ``python -m benchmarks.checkpoints``.
        models: Models to load.
        size: Architecture size of the accent checkpoint, whose layout does not contain it.
    """
    app = FastAPI()
    answers = load_answers(folder, models, size)
    if answers.keys() >= set(ANALYZE_PATHS):
        parts = {path: answers[path] for path in ANALYZE_PATHS}
        answers["/v1/analyze"] = lambda path: {name: answer(path) for name, answer in parts.items()}
    for route, answer in answers.items():
        app.post(route)(endpoint(answer))
    return app


def load_answers(folder: Path, models: Collection[ModelKey], size: Size) -> dict[str, Answer]:
    """Load the models and return their functions by path; import only the libraries that are needed."""
    answers: dict[str, Answer] = {}
    if ModelKey.LANGUAGE in models:
        from benchmarks.baselines.voices import Voices

        voices = Voices(folder)
        answers |= {"/detect-language": voices.language, "/extract-embedding": voices.embed}
    if ModelKey.ACCENT_XLSR in models:
        from benchmarks.baselines.accent import Accent

        answers["/identify"] = Accent(folder, size).identify
    if ModelKey.DEEPFAKE in models:
        from benchmarks.baselines.deepfake import Deepfake

        answers["/audio/analyze-audio"] = Deepfake(folder).analyze
    if ModelKey.DIARIZATION_COMMUNITY_1 in models:
        from benchmarks.baselines.diarization import Diarization

        answers["/diarize"] = Diarization(folder).diarize
    return answers


def endpoint(answer: Answer) -> Callable[[UploadFile], Awaitable[dict[str, Any]]]:
    """Return a coroutine that saves the upload and calls the model, blocking the event loop."""

    async def save_and_answer(file: UploadFile) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(suffix=".wav", delete=False) as saved:
            saved.write(await file.read())
        try:
            return answer(saved.name)
        finally:
            os.unlink(saved.name)

    return save_and_answer
