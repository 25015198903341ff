"""Dependencies that FastAPI injects into the route handlers."""

from typing import Annotated

from fastapi import Depends, Request

from deployments.api.service import GraphAnalyzer


async def _analyzer(request: Request) -> GraphAnalyzer:  # async, because FastAPI runs others in a thread
    analyzer: GraphAnalyzer = request.app.state.analyzer
    return analyzer


AnalyzerDep = Annotated[GraphAnalyzer, Depends(_analyzer)]
"""The analyzer of the application."""
