"""Two graphs that keep voices in one database: the deployments `Gallery`, and a fake analyzer before each."""

from typing import Any

from fake_analyzer import FakeAnalyzer
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle
from tone_voices import voice_of

from config.settings import GraphSettings
from deployments.api.app import create_app
from deployments.graph import GALLERY_OPTIONS
from deployments.replica.loopback import listen_on_loopback
from deployments.state.gallery import Gallery
from deployments.state.gallery_client import GalleryClient

SMALL = {"num_cpus": 0.05}


@serve.ingress()
class Door:
    """The HTTP application; people whose voices are tones speak in its recordings."""

    def __init__(self, gallery: DeploymentHandle) -> None:
        listen_on_loopback()
        self._analyzer = FakeAnalyzer()
        self._analyzer.voice_of = voice_of
        self._analyzer.speech_s = 25.0
        self._analyzer.gallery = GalleryClient(gallery)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._analyzer, GraphSettings.model_validate({"decoders": {"processes": 0}}))


def build(args: dict[str, Any]) -> serve.Application:
    """Build one graph; `args` has its ``state``."""
    options = GALLERY_OPTIONS | {"ray_actor_options": SMALL}
    gallery = serve.deployment(Gallery).options(name="Gallery", **options).bind(args["state"])
    return serve.deployment(Door).options(name="Door", ray_actor_options=SMALL).bind(gallery)
