"""Questions about galleries: a recording becomes an observation here, and the store decides about it. No Ray.

The routes of `deployments.api` and the handles of the ingress ask the same methods.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deployments.observing import Observer
from voxgraph.analyzer import Analyzer
from voxgraph.errors import GalleryUnavailable, NoSpeech, NotFound
from voxgraph.options import Matching, Place, SpeakerCount
from voxgraph.results import (
    Decision,
    DiarizationResult,
    Enrolment,
    GalleryInfo,
    Observation,
    Quality,
    Space,
    SpeakerInfo,
    VoiceDecision,
    Waveform,
)

NOT_KEPT = (
    "This graph keeps no voices: `args.state` of its configuration names no folder and no database. "
    "Everything else is answered."
)
FORGETTING = frozenset({"delete", "erase", "opt_out", "withdraw_consent", "remove_reference"})
"""Methods after which nothing of a voice may stay in memory either."""


class GalleryStore(Protocol):
    """What keeps the galleries of voices."""

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries`; return what it returns, raise what it raises.

        Raises:
            GalleryUnavailable: It does not answer.
        """
        ...


class Cache(Protocol):
    """The results that are cached in memory."""

    async def forget_results(self) -> None:
        """Drop all of them, here now and elsewhere soon; it never fails."""
        ...


class KeepingAnalyzer(Analyzer, Protocol):
    """An analyzer that may keep galleries."""

    @property
    def gallery(self) -> GalleryStore | None:
        """What keeps the galleries; None in a graph without state."""
        ...

    @property
    def state(self) -> Cache:
        """What the ingress replicas share."""
        ...


class VoiceGalleries:
    """The galleries of all tenants; in a graph without state every method raises `GalleryUnavailable`."""

    def __init__(self, analyzer: KeepingAnalyzer) -> None:
        self._observer = Observer(analyzer)
        self._analyzer = analyzer

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries`."""
        store = self._analyzer.gallery
        if store is None:
            raise GalleryUnavailable(NOT_KEPT)
        answer = await store.ask(method, *arguments, **options)
        if method in FORGETTING:
            # All, since a key is a hash of a recording that names nobody, and questions about the person left
            # results whose recordings are noted nowhere.
            await self._analyzer.state.forget_results()
        return answer

    async def enrol(
        self,
        place: Place,
        speaker: str,
        waveform: Waveform,
        quality: Quality | None = None,
        diarized: str | None = None,
    ) -> Enrolment:
        """Add a recording to the references of a speaker; one that is a reference already stays one.

        Args:
            place: The gallery.
            speaker: External id of a speaker who is there.
            waveform: (samples,), float32, 16 kHz.
            quality: Notes about the file, if there is one.
            diarized: Label of the one diarized speaker whose voice is meant, such as ``SPEAKER_01``; None:
                nobody else speaks in the recording.

        Raises:
            NotFound: There is no such gallery, speaker or diarized speaker.
            NoSpeech: The diarized speaker is hardly heard alone.
            Erased: The speaker was erased while the recording was heard.
        """
        spoof = await self._asks_for_spoof(place)
        known: SpeakerInfo = await self.ask("speaker", place.tenant, place.gallery, speaker)
        content = await asyncio.to_thread(content_of, waveform, diarized)
        if (before := await self._enrolled(place, speaker, content, known.id)) is not None:
            return before
        if diarized is None:
            observation = await self._observer.whole(waveform, quality, spoof=spoof)
        else:
            observation = await self._one_of_several(waveform, quality, diarized, spoof)
        enrolment: Enrolment = await self.ask(
            "enrol",
            place.tenant,
            place.gallery,
            speaker,
            observation,
            expecting=known.id,
            origin="audio" if diarized is None else "diarization",
            content=content,
            actor=place.actor,
        )
        return enrolment

    async def verify(
        self,
        place: Place,
        speaker: str,
        waveform: Waveform,
        quality: Quality | None = None,
        matching: Matching = Matching(),
    ) -> VoiceDecision:
        """Decide whether a recording is of the speaker that somebody claims to be."""
        spoof = await self._asks_for_spoof(place)
        observation = await self._observer.whole(waveform, quality, spoof=spoof)
        decision: VoiceDecision = await self.ask(
            "verify",
            place.tenant,
            place.gallery,
            speaker,
            observation,
            operating_point=matching.operating_point,
            purpose=matching.purpose,
            actor=place.actor,
        )
        return decision

    async def identify(
        self,
        place: Place,
        waveform: Waveform,
        quality: Quality | None = None,
        matching: Matching = Matching(),
    ) -> VoiceDecision:
        """Decide who of a gallery speaks in a recording of one person, if anybody."""
        spoof = await self._asks_for_spoof(place)
        observation = await self._observer.whole(waveform, quality, spoof=spoof)
        return (await self._identify(place, [observation], matching))[0]

    async def diarize(
        self,
        place: Place,
        waveform: Waveform,
        speakers: SpeakerCount = SpeakerCount(),
        quality: Quality | None = None,
        matching: Matching = Matching(),
    ) -> DiarizationResult:
        """Find who speaks when, and name them as `name` does."""
        await self._asks_for_spoof(place)
        found = await self._analyzer.diarize(waveform, speakers)
        return await self.name(place, dict.fromkeys(found.speakers, waveform), found, quality, matching)

    async def name(
        self,
        place: Place,
        voices: Mapping[str, Waveform],
        found: DiarizationResult,
        quality: Quality | None = None,
        matching: Matching = Matching(),
    ) -> DiarizationResult:
        """Name the speakers of a diarization, nobody twice.

        Args:
            place: The gallery.
            voices: For each speaker the waveform that has the voice.
            found: Who speaks when in them.
            quality: Notes about the file.
            matching: How they are matched.
        """
        spoof = await self._asks_for_spoof(place)
        observed = await self._observer.speakers(voices, found, quality, spoof=spoof)
        decisions = {label: _hardly_heard(one) for label, one in observed.items() if not one.samples}
        heard = {label: one for label, one in observed.items() if one.samples}
        if heard:
            matched = await self._identify(place, [*heard.values()], matching)
            decisions |= dict(zip(heard, matched, strict=True))
        return found.identified(decisions)

    async def _identify(
        self, place: Place, observations: Sequence[Observation], matching: Matching
    ) -> Sequence[VoiceDecision]:
        decisions: Sequence[VoiceDecision] = await self.ask(
            "identify",
            place.tenant,
            place.gallery,
            observations,
            top_n=matching.top_n,
            operating_point=matching.operating_point,
            purpose=matching.purpose,
            actor=place.actor,
        )
        return decisions

    async def _enrolled(self, place: Place, speaker: str, content: bytes, expecting: str) -> Enrolment | None:
        """Return the answer to an enrolment that was done already in every space that the graph has now."""
        before: Enrolment | None = await self.ask(
            "enrolled", place.tenant, place.gallery, speaker, content, expecting=expecting
        )
        if before is None or before.reference is None:
            return None
        there = {(space.model, space.revision) for space in before.reference.spaces}
        return before if (await self._observer.encoders()).keys() <= there else None

    async def _one_of_several(
        self, waveform: Waveform, quality: Quality | None, label: str, spoof: bool
    ) -> Observation:
        found = await self._analyzer.diarize(waveform)
        if label not in found.speakers:
            raise NotFound(f"The recording has the speakers {', '.join(found.speakers) or 'none'}.")
        voices = dict.fromkeys(found.speakers, waveform)
        observed = await self._observer.speakers(voices, found, quality, only={label}, spoof=spoof)
        if not observed[label].samples:
            raise NoSpeech("That speaker says too little in the recording while nobody else talks.")
        return observed[label]

    async def _asks_for_spoof(self, place: Place) -> bool:
        """Return whether a gallery wants to know if voices are generated; raise `NotFound` without one."""
        info: GalleryInfo = await self.ask("show", place.tenant, place.gallery)
        return info.policy.spoof_gate != "off"


def content_of(waveform: Waveform, diarized: str | None = None) -> bytes:
    """Return the hash of a recording by which it is known again: of its samples, and of whose voice is meant.

    Args:
        waveform: (samples,), float32, 16 kHz.
        diarized: Label of one of several speakers, or None.
    """
    digest = hashlib.sha256(np.ascontiguousarray(waveform, np.float32).data)
    digest.update(b"" if diarized is None else b"\0" + diarized.encode())
    return digest.digest()


def content_of_embedding(space: Space, vector: npt.NDArray[np.float32]) -> bytes:
    """Return the hash by which a voice is known again that was embedded before."""
    digest = hashlib.sha256("\0".join((space.model, space.revision, "")).encode())
    digest.update(np.ascontiguousarray(vector, np.float32).data)
    return digest.digest()


def _hardly_heard(observation: Observation) -> VoiceDecision:
    """Return the decision about a diarized speaker who says too little alone for a voice."""
    return VoiceDecision(Decision.NOT_ENOUGH_SPEECH, evidence=observation.evidence, label=observation.label)
