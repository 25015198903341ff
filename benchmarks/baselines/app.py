"""The naive servers in one application: a temporary file, a model call inside the endpoint, an answer."""

import os
import tempfile
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from fastapi import FastAPI, UploadFile

from config.settings import Size
from voxgraph.options import ModelKey

Answer = Callable[[str], dict[str, Any]]
"""From the path of a recording to JSON."""

IN_ANALYZE = ("/extract-embedding", "/identify", "/diarize", "/audio/analyze-audio")
"""What the composition asks, one after the other."""


def create_app(folder: Path, models: Collection[ModelKey], size: Size) -> FastAPI:
    """Load models and answer their questions.

    Args:
        folder: What ``python -m benchmarks.checkpoints`` wrote.
        models: Those that are loaded.
        size: Of the accent checkpoint, whose layout does not say it.
    """
    app = FastAPI()
    answers = load(folder, models, size)
    if answers.keys() >= set(IN_ANALYZE):
        asked = {path: answers[path] for path in IN_ANALYZE}
        answers["/v1/analyze"] = lambda path: {name: answer(path) for name, answer in asked.items()}
    for route, answer in answers.items():
        app.post(route)(endpoint(answer))
    return app


def load(folder: Path, models: Collection[ModelKey], size: Size) -> dict[str, Answer]:
    """The answers that the models can give, by path; a library is imported where it is needed."""
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
    """A coroutine that saves the upload and calls the model: nothing else is answered meanwhile."""

    async def save_and_answer(file: UploadFile) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(suffix=".wav", delete=False) as saved:
            saved.write(await file.read())
        try:
            return answer(saved.name)
        finally:
            os.unlink(saved.name)

    return save_and_answer
