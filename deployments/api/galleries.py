"""Whose galleries a request is about, and how its JSON is read."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Protocol, Self, TypeVar

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel, ValidationError

from deployments.api.body import check_content_length, read_limited
from deployments.api.claims import InVain
from deployments.api.errors import validation_message
from deployments.api.options import SpeakerOptions
from deployments.api.shares import client_of
from deployments.galleries import VoiceGalleries
from voxgraph.errors import InvalidOptions, VoxError
from voxgraph.keys import SCOPES
from voxgraph.options import DEFAULT_TENANT, Matching, Place
from voxgraph.results import (
    AnalysisEvent,
    Decision,
    DiarizationResult,
    Quality,
    TaskAnswer,
    TaskFailure,
    VoiceDecision,
    Waveform,
)

ANYBODY = "anonymous"
"""Who asks a graph without API keys, in its ledger."""
NAMES_NOBODY = frozenset({Decision.UNKNOWN, Decision.AMBIGUOUS})
"""Decisions on voices that were compared in vain."""
MAX_BODY_BYTES = 256 * 1024
"""Most bytes of a body of JSON: an embedding of 4,096 numbers has about 90,000."""

Body = TypeVar("Body", bound=BaseModel)


class _Scored(Protocol):
    """An answer with figures of how near a voice is."""

    def without_scores(self) -> Self:
        """Return the answer without them."""
        ...


Scored = TypeVar("Scored", bound=_Scored)


@dataclass(frozen=True)
class TenantGalleries:
    """The galleries of the tenant of a request."""

    all: VoiceGalleries
    tenant: str
    actor: str
    """Name of the key that asks, for the ledger."""
    may_use: bool
    may_see_scores: bool
    """Whether the key may learn how near a voice is; without, only what was decided."""
    client: str | None
    """Who asks, as in `deployments.api.shares`; None: a program on this machine without a key."""
    identifications: InVain
    """Counts what each client has asked each gallery in vain."""

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries` that only reads."""
        return await self.all.ask(method, self.tenant, *arguments, **options)

    async def change(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `gallery.galleries.Galleries` that writes to the ledger."""
        return await self.ask(method, *arguments, actor=self.actor, **options)

    def place(self, gallery: str) -> Place:
        """Return a gallery of the tenant."""
        return Place(gallery, self.tenant, self.actor)

    async def check(self, gallery: str | None) -> None:
        """Refuse at once to name speakers by a gallery, if one is given and that cannot be done.

        Raises:
            HTTPException: 403, since the key of the request may not use galleries.
            TriedInVain: The client has asked it in vain too often.
            NotFound: There is no such gallery.
            GalleryUnavailable: The graph keeps none.
        """
        if gallery is None:
            return
        if not self.may_use:
            raise HTTPException(HTTPStatus.FORBIDDEN, "The key has no scope gallery.")
        self.check_tries(gallery)
        await self.ask("show", gallery)

    def check_tries(self, gallery: str) -> None:
        """Raise `TriedInVain` if the client has asked a gallery in vain too often."""
        if self.client is not None:
            self.identifications.check((self.tenant, gallery, self.client))

    def note(self, gallery: str, decisions: Iterable[VoiceDecision]) -> None:
        """Count a recording in which nobody was recognised, though voices were compared."""
        found = {each.decision for each in decisions}
        if self.client is not None and found & NAMES_NOBODY and Decision.MATCH not in found:
            self.identifications.failed((self.tenant, gallery, self.client))

    def shown(self, found: Scored) -> Scored:
        """Return an answer as the key may see it."""
        return found if self.may_see_scores else found.without_scores()

    def shown_turns(self, found: DiarizationResult) -> DiarizationResult:
        """Return a diarization with the decisions on its voices as the key may see them."""
        if found.identities is None:
            return found
        return replace(found, identities={name: self.shown(each) for name, each in found.identities.items()})

    def check_scores(self) -> None:
        """Raise HTTPException 403 if the key may not see scores, nor what they can be computed from."""
        if not self.may_see_scores:
            raise HTTPException(HTTPStatus.FORBIDDEN, "The key has no scope scores.")

    async def named(
        self,
        options: SpeakerOptions,
        voices: Mapping[str, Waveform],
        found: DiarizationResult,
        quality: Quality,
    ) -> DiarizationResult:
        """Name the speakers of a diarization if the options of the request name a gallery."""
        if options.gallery is None:
            return found
        matching = Matching(purpose=options.purpose)
        named = await self.all.name(self.place(options.gallery), voices, found, quality, matching)
        self.note(options.gallery, (named.identities or {}).values())
        return self.shown_turns(named)

    async def named_events(
        self,
        options: SpeakerOptions,
        waveform: Waveform,
        events: AsyncGenerator[AnalysisEvent],
        quality: Quality,
    ) -> AsyncGenerator[AnalysisEvent]:
        """Yield the events of an analysis, with the speakers of the diarization named as `named` does."""
        async with aclosing(events):
            async for event in events:
                if not isinstance(event, TaskAnswer) or event.task != "diarization":
                    yield event
                    continue
                found: DiarizationResult = event.result
                voices = dict.fromkeys(found.speakers, waveform)
                try:
                    yield replace(event, result=await self.named(options, voices, found, quality))
                except VoxError as error:
                    yield TaskFailure("diarization", error)


async def _galleries(request: Request) -> TenantGalleries:
    state = request.state
    scopes = getattr(state, "scopes", SCOPES)
    return TenantGalleries(
        request.app.state.galleries,
        getattr(state, "tenant", DEFAULT_TENANT),
        getattr(state, "key_name", ANYBODY),
        may_use="gallery" in scopes,
        may_see_scores="scores" in scopes,
        client=client_of(request.scope),
        identifications=request.app.state.identifications,
    )


GalleriesDep = Annotated[TenantGalleries, Depends(_galleries)]
"""The galleries that a request may use."""


def json_body(model: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """Return a dependency that reads a body of JSON; no body is an empty object.

    Raises `InvalidOptions` if it is not what the model says, and what `read_limited` raises.
    """

    async def read(request: Request) -> Body:
        check_content_length(request, MAX_BODY_BYTES)
        data = b"".join([chunk async for chunk in read_limited(request, MAX_BODY_BYTES)])
        try:
            return model.model_validate_json(data or b"{}")
        except ValidationError as error:
            raise InvalidOptions(validation_message(error.errors())) from error

    return read


def takes_json(model: type[BaseModel]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an endpoint that takes a body of JSON."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
