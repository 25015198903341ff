"""One file per family of endpoints: read, decode, ask, answer."""

from typing import Annotated

from fastapi import Depends, Request

from deployments.api.analyzer import Analyzer


async def _analyzer(request: Request) -> Analyzer:  # FastAPI runs what is not async in a thread
    analyzer: Analyzer = request.app.state.analyzer
    return analyzer


Asked = Annotated[Analyzer, Depends(_analyzer)]
"""What the handlers ask."""
