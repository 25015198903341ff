"""Cache of what each model has loaded; an expired entry stays in use while the model is too busy."""

import time
from collections.abc import Callable, Mapping

from deployments.transport.clips import ModelHandle
from voxgraph.calls import Deadline, call
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, Overloaded, VoxError
from voxgraph.options import ModelKey
from voxgraph.results import ModelInfo

INFO_TIMEOUT_S = 1.0
"""Timeout of a call whose answer can be done without."""
FIRST_INFO_TIMEOUT_S = 20.0
"""Timeout where there is no older entry: an enrolment must know the spaces of the encoders."""
INFO_TTL_S = 10.0
"""Seconds for which an entry is valid: the content of a checkpoint folder may change."""
BUSY_ERRORS = (DeadlineExceeded, Overloaded)
"""Errors of a model that is too busy to say what it has loaded."""


class ModelInfoCache:
    """Caches the `ModelInfo` of every model of a graph; `clock` is monotonic, in seconds."""

    def __init__(
        self, models: Mapping[ModelKey, ModelHandle], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._models = models
        self._clock = clock
        self._entries: dict[ModelKey, tuple[float, ModelInfo]] = {}

    async def get(self, model: ModelKey) -> ModelInfo:
        """Return what a replica of a model has loaded, at most `INFO_TTL_S` old unless the model is busy.

        Raises:
            ModelUnavailable: The model is not in the graph, or its checkpoint could not be loaded.
            DeadlineExceeded, Overloaded: The model is too busy and there is no older entry.
        """
        is_first = self.last_known(model) is None
        return await self._get(model, FIRST_INFO_TIMEOUT_S if is_first else INFO_TIMEOUT_S)

    async def _get(self, model: ModelKey, timeout_s: float) -> ModelInfo:
        if model not in self._models:
            raise ModelUnavailable(f"Model {model} is not part of this graph.")
        updated_at, info = self._entries.get(model, (-INFO_TTL_S, None))
        if info is None or self._clock() - updated_at >= INFO_TTL_S:
            try:
                info = await call(lambda: self._models[model].direct.info.remote(), Deadline.after(timeout_s))
            except BUSY_ERRORS:
                if info is None:
                    raise
            self._entries[model] = self._clock(), info
        return info

    def last_known(self, model: ModelKey) -> ModelInfo | None:
        """Return the cached entry of a model, however old; None if there is none."""
        _, info = self._entries.get(model, (0.0, None))
        return info

    async def revision(self, model: ModelKey) -> str:
        """Return the revision of a model's checkpoint for a cache key, or the code of the error it answers.

        If the model is too busy to say, the value is unique, so that the result is never reused.
        """
        try:
            return (await self._get(model, INFO_TIMEOUT_S)).revision
        except BUSY_ERRORS as error:
            return f"{error.code} {self._clock()}"
        except VoxError as error:
            return error.code
