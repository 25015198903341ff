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
from voxgraph.client import galleries, gallery_group, questions

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
GALLERIES = {
    "GET /v1/galleries": "list_galleries",
    "PUT /v1/galleries/{gallery}": "put",
    "GET /v1/galleries/{gallery}": "show",
    "DELETE /v1/galleries/{gallery}": "delete",
    "POST /v1/galleries/{gallery}/merge": "merge",
    "GET /v1/galleries/{gallery}/duplicates": "duplicates",
    "POST /v1/galleries/{gallery}/calibrate": "calibrate",
    "GET /v1/galleries/{gallery}/report": "report",
    "POST /v1/galleries/{gallery}/decisions/{decision_id}/confirm": "confirm",
    "POST /v1/galleries/{gallery}/decisions/{decision_id}/reject": "reject",
    "GET /v1/galleries/{gallery}/report.png": None,  # a picture, which a browser shows
    "POST /v1/galleries/{gallery}/verify": "verify",
    "POST /v1/galleries/{gallery}/identify": "identify_speakers",
    "GET /v1/galleries/{gallery}/speakers": "speakers",
    "PUT /v1/galleries/{gallery}/speakers/{speaker}": "put_speaker",
    "GET /v1/galleries/{gallery}/speakers/{speaker}": "speaker",
    "PATCH /v1/galleries/{gallery}/speakers/{speaker}": "change_speaker",
    "DELETE /v1/galleries/{gallery}/speakers/{speaker}": "erase",
    "POST /v1/galleries/{gallery}/speakers/{speaker}/opt-out": "opt_out",
    "DELETE /v1/galleries/{gallery}/speakers/{speaker}/opt-out": "opt_in",
    "DELETE /v1/galleries/{gallery}/speakers/{speaker}/consent": "withdraw_consent",
    "GET /v1/galleries/{gallery}/speakers/{speaker}/export": "export",
    "POST /v1/galleries/{gallery}/speakers/{speaker}/references": "enrol",
    "GET /v1/galleries/{gallery}/speakers/{speaker}/references": "references",
    "DELETE /v1/galleries/{gallery}/speakers/{speaker}/references/{reference}": "remove_reference",
    "GET /v1/ledger": "ledger",
    "GET /v1/ledger/check": "check_ledger",
    "GET /v1/ledger/key": "ledger_key",
    "GET /v1/receipts": "receipts",
}
"""The question about galleries for each operation."""
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
    tags = {path: next(iter(each.values()))["tags"] for path, each in PATHS.items()}
    ours = {path for path in PATHS if tags[path] not in (["pyannoteai"], ["gallery"])}

    assert ours == {*QUESTIONS, *WITH_OTHER_BODIES, *ANSWERED_BY_OTHERS}


def test_every_operation_on_galleries_is_a_question_with_its_options() -> None:
    operations = {
        f"{method.upper()} {path}": operation
        for path, each in PATHS.items()
        for method, operation in each.items()
        if operation["tags"] == ["gallery"]
    }

    assert set(operations) == set(GALLERIES)
    for name, question in GALLERIES.items():
        if question is not None:
            parameters = inspect.signature(getattr(galleries, question)).parameters
            named = {each["name"] for each in operations[name].get("parameters", [])}
            assert named - {"diarize"} <= set(parameters), name


@pytest.mark.parametrize("group", [gallery_group.Galleries, gallery_group.AsyncGalleries])
def test_both_clients_have_every_question_about_galleries(group: type) -> None:
    for name in {*filter(None, GALLERIES.values()), "identify", "enrol_embedding"}:
        method = getattr(group, "list" if name == "list_galleries" else name)
        assert inspect.signature(method) == inspect.signature(getattr(galleries, name))
        assert method.__doc__


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
