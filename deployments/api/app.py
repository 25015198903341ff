"""The HTTP application: a function of an `Analyzer` and the settings.

Before this comes the ingress (or a test's fake), after it `routes` and `upload`.
"""

from fastapi import FastAPI

from config.settings import GraphSettings
from deployments.api import errors
from deployments.api.analyzer import Analyzer
from deployments.api.budget import Budget
from deployments.api.documentation import RESPONSES
from deployments.api.middleware import SHOWN_TO_BROWSERS, Gate, Origins, RequestContext
from deployments.api.routes import (
    accent,
    analyze,
    deepfake,
    diarization,
    graph,
    language,
    service,
    speaker,
    voices,
)

DESCRIPTION = """Questions people ask of a voice recording: language, voice, accent, who spoke when,
which parts are AI-generated. Every endpoint takes a recording as the whole body or as `file` of a form:
WAV, AIFF, FLAC, MP3, AAC, M4A, OGG or WebM, of any rate."""


def create_app(analyzer: Analyzer, settings: GraphSettings) -> FastAPI:
    """Build the application.

    Args:
        analyzer: Answers the questions.
        settings: Limits of uploads, and the origins that browsers may call from.
    """
    app = FastAPI(title="voxgraph", version=service.VERSION, description=DESCRIPTION)
    app.state.analyzer = analyzer
    app.state.settings = settings
    app.state.budget = Budget(settings.limits)
    app.include_router(service.router)
    app.include_router(graph.router)
    for module in (language, speaker, accent, diarization, deepfake, analyze, voices):
        app.include_router(module.router, responses=RESPONSES)
    errors.install(app)
    app.add_middleware(Gate)
    app.add_middleware(RequestContext)
    if settings.cors_origins:
        app.add_middleware(
            Origins,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(SHOWN_TO_BROWSERS),
        )
    return app
