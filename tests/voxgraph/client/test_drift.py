"""The client and the command ask every question of the interface, with every option."""

import inspect
from dataclasses import fields
from typing import Any

import pytest

from config.settings import GraphSettings
from deployments.api.app import create_app
from voxgraph import AsyncClient, Client
from voxgraph.cli import recordings
from voxgraph.cli.arguments import Output, Where
from voxgraph.cli.asking import QUESTIONS as QUESTIONS_OF_COMMANDS
from voxgraph.client import questions

PATHS: dict[str, dict[str, Any]] = create_app(None, GraphSettings()).openapi()["paths"]  # type: ignore[arg-type]
QUESTIONS = {
    "/detect-language": "detect_language",
    "/extract-embedding": "embed",
    "/v1/speaker/compare": "compare",
    "/compare_embedding": "compare_embedding",
    "/diarize": "diarize",
    "/audio/analyze-audio": "detect_deepfake",
    "/v1/analyze": "analyze",
    "/v1/batch": "analyze_many",
}
"""The method for each endpoint about recordings."""
WITH_OTHER_BODIES = {"/find-match": "find_match", "/health": "health"}
ANSWERED_BY_OTHERS = {
    "/compare-voices": "voxgraph.similarity.compare needs no server",
    "/v1/format": "voxgraph.formats.write needs no server",
    "/embedding": "embed, and Embedding.normalized",
    "/compare": "compare with a threshold",
    "/identify": "identify_accent, which takes more than WAV",
    "/classify-us-accent": "identify_accent, which has every accent",
    "/audio/model-status": "info",
    "/audio/model-info": "info",
    "/": "about the server itself",
    "/stats": "about the server itself",
    "/livez": "about the server itself",
    "/queue-status": "about the server itself",
    "/cleanup-status": "about the server itself",
    "/clear-cache": "about the server itself",
    "/cleanup-files": "about the server itself",
}
"""Endpoints without a method, and what answers instead."""
NO_KEYWORDS = {
    "encoder": {"/compare_embedding"},  # the embedding names its own
    "peaks": {"/v1/analyze", "/v1/batch"},  # for pages that draw the waveform
    "format": {"/diarize", "/v1/analyze", "/audio/analyze-audio"},  # voxgraph.formats writes the results
    "stream": {"/diarize", "/v1/analyze"},  # the header of analyze_events and diarize_events asks for it
    "names": {"/diarize", "/v1/analyze"},  # voxgraph.formats.write takes them
}
"""Options without a keyword, and where."""


def options_of(path: str) -> set[str]:
    named = {each["name"] for each in PATHS[path]["post"].get("parameters", []) if each["in"] == "query"}
    return {name for name in named if path not in NO_KEYWORDS.get(name, ())}


def keywords_of(method: str) -> set[str]:
    parameters = inspect.signature(getattr(questions, method)).parameters.values()
    return {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY} - {"timeout_s"}


def test_every_endpoint_has_a_method_or_a_reason_to_have_none() -> None:
    ours = {path for path, each in PATHS.items() if next(iter(each.values()))["tags"] != ["pyannoteai"]}

    assert ours == {*QUESTIONS, *WITH_OTHER_BODIES, *ANSWERED_BY_OTHERS}


@pytest.mark.parametrize(("path", "method"), QUESTIONS.items())
def test_every_option_is_a_keyword(path: str, method: str) -> None:
    assert keywords_of(method) == options_of(path)


def test_accents_are_asked_for_with_the_options_of_an_analysis() -> None:
    assert keywords_of("identify_accent") <= options_of("/v1/analyze")


def test_every_field_of_a_search_is_an_argument() -> None:
    body = PATHS["/find-match"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert keywords_of("find_match") == set(body["properties"]) - {
        "user_embedding", "stored_embeddings", "model", "revision",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "build"), {**QUESTIONS_OF_COMMANDS, "compare": questions.compare}.items()
)
def test_every_option_is_one_of_the_command(command: str, build: Any) -> None:
    options = inspect.signature(getattr(recordings, command)).parameters
    others = {"recordings", "first", "second", "plot", "timeout", "json"}
    others |= {each.name for group in (Where, Output) for each in fields(group)}

    assert set(options) - others == keywords_of(build.__name__)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_both_clients_have_every_question_with_its_signature_and_a_timeout(client: type) -> None:
    names = {*QUESTIONS.values(), *WITH_OTHER_BODIES.values(), "identify_accent", "info"}

    for name in {*names, "analyze_events", "diarize_events"}:
        asked = inspect.signature(getattr(questions, name))
        assert inspect.signature(getattr(client, name)) == asked
        assert asked.parameters["timeout_s"].kind is inspect.Parameter.KEYWORD_ONLY
        assert getattr(client, name).__doc__
