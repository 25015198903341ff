"""A gallery of the running graph from Python: ``Voxgraph.connect().gallery("staff").identify(waveform)``.

The galleries are those that HTTP has; without API keys both have the tenant ``default``.
"""

import asyncio
from typing import Any

from ray.serve.handle import DeploymentHandle

from voxgraph.blocking import Blocking, blocking
from voxgraph.calls import Deadline, attempt, call
from voxgraph.options import DEADLINE_S, DIARIZATION_DEADLINE_S, Matching, Place, SpeakerCount
from voxgraph.results import (
    DecisionReview,
    DiarizationResult,
    Enrolment,
    Verdict,
    VoiceDecision,
    Waveform,
)


class AsyncGallery:
    """One gallery, with asynchronous methods; `handle` is that of the ingress.

    Waveforms are float32, shape (samples,), mono, 16 kHz. Every method takes a timeout in seconds and raises
    `GalleryUnavailable` in a graph without state, and `NotFound` if there is no such gallery. A call whose
    replica dies raises `ModelUnavailable` and is not repeated, since it may have been done, except for
    `enrol`, which knows a recording again.
    """

    def __init__(self, handle: DeploymentHandle, place: Place) -> None:
        self._handle, self._place = handle, place

    async def enrol(
        self,
        speaker: str,
        waveform: Waveform,
        diarized: str | None = None,
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> Enrolment:
        """Add a recording to a speaker who is there; `diarized` is whose voice of several, by label.

        One that is a reference of the speaker already stays one: the answer is ``repeated``.
        """
        asked, arguments = self._handle.ask_galleries, (self._place, speaker, waveform, None, diarized)
        enrolment: Enrolment = await call(
            lambda: asked.remote("enrol", *arguments), Deadline.after(timeout_s)
        )
        return enrolment

    async def verify(
        self,
        speaker: str,
        waveform: Waveform,
        matching: Matching = Matching(),
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> VoiceDecision:
        """Decide whether a recording is of the speaker that somebody claims to be."""
        arguments = self._place, speaker, waveform, None, matching
        decision: VoiceDecision = await self._call("verify", timeout_s, *arguments)
        return decision

    async def identify(
        self,
        waveform: Waveform,
        matching: Matching = Matching(),
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> VoiceDecision:
        """Decide who of the gallery speaks in a recording of one person, if anybody."""
        decision: VoiceDecision = await self._call(
            "identify", timeout_s, self._place, waveform, None, matching
        )
        return decision

    async def diarize(
        self,
        waveform: Waveform,
        speakers: SpeakerCount = SpeakerCount(),
        matching: Matching = Matching(),
        *,
        timeout_s: float = DIARIZATION_DEADLINE_S,
    ) -> DiarizationResult:
        """Find who speaks when, by name; `identities` says what was decided about each voice."""
        arguments = self._place, waveform, speakers, None, matching
        found: DiarizationResult = await self._call("diarize", timeout_s, *arguments)
        return found

    async def review(
        self, decision_id: str, verdict: Verdict, *, timeout_s: float = DEADLINE_S
    ) -> DecisionReview:
        """Say of a decision that it was right or wrong, after a person looked at it; nothing is learned."""
        actor = self._place.actor
        found: DecisionReview = await self.ask(
            "review", decision_id, verdict, actor=actor, timeout_s=timeout_s
        )
        return found

    async def ask(self, method: str, *arguments: Any, timeout_s: float = DEADLINE_S, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries` on this gallery, such as ``ask("speakers")``.

        What changes something needs ``actor``, a name for the ledger.
        """
        place = self._place
        return await self._call("ask", timeout_s, method, place.tenant, place.gallery, *arguments, **options)

    async def _call(self, method: str, timeout_s: float, *arguments: Any, **options: Any) -> Any:
        asked = self._handle.ask_galleries
        return await attempt(lambda: asked.remote(method, *arguments, **options), Deadline.after(timeout_s))


class Gallery(Blocking[AsyncGallery]):
    """One gallery, for code without ``async``."""

    def __init__(self, handle: DeploymentHandle, place: Place) -> None:
        super().__init__(AsyncGallery(handle, place))

    enrol = blocking(AsyncGallery.enrol)
    verify = blocking(AsyncGallery.verify)
    identify = blocking(AsyncGallery.identify)
    diarize = blocking(AsyncGallery.diarize)
    review = blocking(AsyncGallery.review)

    def ask(self, method: str, *arguments: Any, timeout_s: float = DEADLINE_S, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries` on this gallery, as `AsyncGallery.ask` does."""
        return asyncio.run(self._asynchronous.ask(method, *arguments, timeout_s=timeout_s, **options))
