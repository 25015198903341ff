"""The HTTP application, built from a `GraphAnalyzer` and the settings."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from config.settings import GraphSettings
from deployments.api import errors, middleware
from deployments.api.auth import AuthMiddleware, Keyring
from deployments.api.bodies import bodies_budget
from deployments.api.budget import DecodedAudioBudget
from deployments.api.claims import MOST_IN_VAIN, InVain
from deployments.api.compat import accent_routes, graph_routes, pyannoteai, voice_routes
from deployments.api.compat.pyannoteai_jobs import JobRunner
from deployments.api.decoders import Decoder, decoder_of
from deployments.api.documentation import RESPONSES
from deployments.api.hosts import HostsMiddleware
from deployments.api.pace import Pace
from deployments.api.page import Pages
from deployments.api.paths import PathMiddleware
from deployments.api.read_rate import ReadRateMiddleware
from deployments.api.refreshed import Refreshed
from deployments.api.routes import (
    analyze,
    batch,
    deepfake,
    diarization,
    galleries,
    gallery_speakers,
    language,
    pages,
    service,
    speaker,
    voices,
    writing,
)
from deployments.api.service import GraphAnalyzer
from deployments.galleries import VoiceGalleries

DESCRIPTION = """Answers questions about a voice recording: language, voice, accent, who spoke when,
which parts are AI-generated. Every endpoint takes a recording as the whole body or as `file` of a form, in
any common container and codec, at any sample rate."""


@asynccontextmanager
async def _run_decoder(app: FastAPI) -> AsyncGenerator[None]:
    """Start the processes that decode before the first request, and end them with the application."""
    decoder: Decoder = app.state.decoder
    await decoder.start()
    try:
        yield
    finally:
        await decoder.close()


def create_app(analyzer: GraphAnalyzer, settings: GraphSettings) -> FastAPI:
    """Build the application for an analyzer: the ingress in production, a fake in tests.

    The settings give the limits of uploads and the origins that browsers may call from.
    """
    app = FastAPI(
        title="voxgraph",
        version=service.VERSION,
        description=DESCRIPTION,
        redirect_slashes=False,
        lifespan=_run_decoder,
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,  # FastAPI's own pages load their scripts from another host
        redoc_url=None,
    )
    app.state.analyzer = analyzer
    app.state.settings = settings
    app.state.budget = DecodedAudioBudget(settings.limits)
    app.state.decoder = decoder_of(settings)
    app.state.job_runner = JobRunner(analyzer, app.state.budget, app.state.decoder)
    app.state.pages = Pages(page=settings.page, docs=settings.docs)
    app.state.bodies = bodies_budget(settings.limits)
    app.state.pace = Pace()
    app.state.health = Refreshed(lambda: analyzer.health())
    app.state.stats = Refreshed(partial(graph_routes.collect, app))
    app.state.claims = InVain(MOST_IN_VAIN, "claims of this speaker")
    app.state.identifications = InVain(settings.limits.max_unknown_per_minute, "identifications")
    app.state.galleries = VoiceGalleries(analyzer)
    app.include_router(service.router)
    app.include_router(pages.router)
    app.include_router(graph_routes.router)
    app.include_router(pyannoteai.router)
    about_recordings = (
        language, speaker, accent_routes, diarization, deepfake, analyze, batch, voice_routes, writing,
    )  # fmt: skip
    for module in about_recordings:
        app.include_router(module.router, responses=RESPONSES)
    for router in (galleries.proof, galleries.router, gallery_speakers.router, voices.router):
        app.include_router(router)
    errors.install(app)
    app.add_middleware(middleware.ConcurrencyLimitMiddleware)
    app.add_middleware(ReadRateMiddleware, per_s=settings.limits.max_reads_per_s)
    app.add_middleware(AuthMiddleware, keyring=Keyring(settings), open_pages=settings.open_pages)
    app.add_middleware(HostsMiddleware, settings=settings)
    app.add_middleware(middleware.RequestContextMiddleware)
    app.add_middleware(PathMiddleware, root_path=settings.root_path)
    if settings.cors_origins:
        app.add_middleware(
            middleware.CORSErrorMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=list(middleware.EXPOSED_HEADERS),
        )
    return app
