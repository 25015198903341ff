"""What each model has loaded, as an ingress replica knows it: asked now and then, and taken as it was while a
model is too busy to say.
"""

import time
from collections.abc import Callable, Mapping

from deployments.transport.clips import ModelHandle
from voxgraph.calls import Deadline, call
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded, VoxError
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo

INFO_TIMEOUT_S = 1.0
KEPT_S = 10.0
"""Seconds for which a replica's word on its checkpoint is taken: the content of a folder may change."""
BUSY_ERRORS = (DeadlineExceeded, Overloaded)
"""How a model that has much to do answers what it has loaded."""


class ModelInfoCache:
    """Answers for the models of a graph.

    Args:
        models: Their handles.
        clock: Seconds that only grow.
    """

    def __init__(
        self, models: Mapping[ModelKey, ModelHandle], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._models = models
        self._clock = clock
        self._said: dict[ModelKey, tuple[float, ModelInfo]] = {}

    async def get(self, model: ModelKey) -> ModelInfo:
        """What one of its replicas said a moment ago, or before all of them were too busy.

        Raises:
            ModelUnavailable: It is not in the graph, or has no checkpoint.
            DeadlineExceeded: It has not said it yet, and is too busy.
            Overloaded: So it is.
        """
        if model not in self._models:
            raise ModelUnavailable(f"Model {model} is not part of this graph.")
        said_at, info = self._said.get(model, (-KEPT_S, None))
        if info is None or self._clock() - said_at >= KEPT_S:
            try:
                info = await call(
                    lambda: self._models[model].direct.info.remote(), Deadline.after(INFO_TIMEOUT_S)
                )
            except BUSY_ERRORS:
                if info is None:
                    raise
            self._said[model] = self._clock(), info
        return info

    def last(self, model: ModelKey) -> ModelInfo | None:
        """What it said last, however long ago."""
        _, info = self._said.get(model, (0.0, None))
        return info

    async def revision(self, model: ModelKey) -> str:
        """Which checkpoint a model has; the name of its failure where it has none.

        Where it is not known it is like no other: what is computed then answers no later question.
        """
        try:
            return (await self.get(model)).revision
        except BUSY_ERRORS as error:
            return f"{error.code} {self._clock()}"
        except VoxError as error:
            return error.code
