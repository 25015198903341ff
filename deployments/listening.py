"""Ask the diarization model for the speech in a recording while other models answer questions about it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from config.settings import IngressTunables
from deployments.speech import Listener, Spans
from deployments.state.result_cache import ResultCache, cache_key
from deployments.transport.calls import call_all, call_when_capacity
from deployments.transport.clips import Clip, ModelHandle
from deployments.transport.concurrency import gather_or_cancel
from voxgraph.calls import Deadline

Compute = Callable[[Clip, Deadline], Awaitable[Any]]


class RemoteListener:
    """Finds speech with the replicas of the diarization model, once for all questions about a recording.

    Args:
        model: Handle of the diarization model.
        tunables: Returns the tunables that are valid now.
    """

    def __init__(self, model: ModelHandle, tunables: Callable[[], IngressTunables]) -> None:
        self._model = model
        self._tunables = tunables
        self._listener = Listener(self._ask, tunables)
        self._cache = ResultCache(tunables().cache_entries, tunables().cache_bytes)

    @property
    def limits(self) -> tuple[float, float]:
        """What the speech depends on besides the recording and the model, for a cache key."""
        tunables = self._tunables()
        return tunables.min_speech_s, tunables.min_gliding_share

    def reconfigure(self) -> None:
        """Apply new tunables."""
        tunables = self._tunables()
        self._cache.resize(tunables.cache_entries, tunables.cache_bytes)

    def beside(self, compute: Compute) -> Compute:
        """Return a function that computes a result, and beside it its `speech_s`."""

        async def heard(clip: Clip, deadline: Deadline) -> Any:
            asked = _run(compute(clip, deadline)), self._find(clip, deadline)
            result, speech_s = await gather_or_cancel(*asked)
            return result.heard(speech_s)

        return heard

    async def _find(self, clip: Clip, deadline: Deadline) -> float | None:
        key = cache_key(await clip.digest(), "speech", self.limits)
        found, _ = await self._cache.get_or_compute(
            key, lambda: self._listener.speech_s(clip, clip.waveform, deadline)
        )
        return found

    async def _ask(self, clip: Clip, spans: Spans, deadline: Deadline) -> list[float]:
        model = self._model
        if spans == [(0, len(clip.waveform))]:
            await clip.pack()
            listen = model.handle_for(clip).speech_seconds
            return [await call_when_capacity(lambda: listen.remote(clip.payload), deadline)]

        def listen_to(start: int, end: int) -> Any:
            part = Clip(clip.waveform[start:end])
            return model.handle_for(part).speech_seconds.remote(part.payload, goes_on=True)

        starts = [partial(listen_to, *span) for span in spans]
        return await call_all(starts, deadline, self._tunables().diarization_window)


async def _run(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
