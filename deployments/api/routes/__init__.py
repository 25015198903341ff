"""One file per family of endpoints: read, decode, ask, answer."""

from typing import Annotated

from fastapi import Depends, Request

from deployments.api.service import GraphAnalyzer


async def _analyzer(request: Request) -> GraphAnalyzer:  # FastAPI runs what is not async in a thread
    analyzer: GraphAnalyzer = request.app.state.analyzer
    return analyzer


AnalyzerDep = Annotated[GraphAnalyzer, Depends(_analyzer)]
"""What the handlers ask."""
