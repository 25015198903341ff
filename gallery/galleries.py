"""The galleries of all tenants: what may be asked of them.

Every method names the tenant first and sees nothing of another one: an object of another tenant is
`NotFound`. Every method that changes something, or that compares voices, names the actor, which is the name
of the caller's key; the ledger keeps it. The methods block for milliseconds and may be called from any
thread.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gallery import calibrations, erasure, overview, people, references, report, reviews, scope, speakers
from gallery.enrolment import Request, enrol, enrolled
from gallery.open_store import OpenStore, check_page
from gallery.questions import Question, duplicates, identify, verify
from gallery.speakers import Profile
from voxgraph.errors import NotFound
from voxgraph.results import (
    CalibrationReport,
    Consent,
    DecisionReview,
    Duplicate,
    Enrolment,
    ErasureReceipt,
    GalleryInfo,
    GalleryPage,
    GalleryPolicy,
    Observation,
    OperatingPoint,
    ReferenceInfo,
    ReviewSummary,
    SpeakerInfo,
    SpeakerPage,
    SpeakerState,
    Verdict,
    VoiceDecision,
)


class Galleries(OpenStore):
    """All galleries of one store. `OpenStore` says how it is opened, and has the ledger."""

    # Galleries

    def create(
        self, tenant: str, name: str, policy: GalleryPolicy | None = None, *, actor: str
    ) -> GalleryInfo:
        """Create a gallery; one that exists with the same policy stays as it is.

        Raises:
            Conflict: There is one with another policy.
            InvalidOptions: The name is not 1 to 64 of ``A-Z a-z 0-9 . _ -``.
        """
        with self._store.write() as transaction:
            found = scope.create(transaction, tenant, name, policy or GalleryPolicy(), actor)
            return overview.info(transaction, found)

    def update(self, tenant: str, name: str, policy: GalleryPolicy, *, actor: str) -> GalleryInfo:
        """Replace the policy of a gallery."""
        with self._changing(tenant, name) as (transaction, found):
            scope.update(transaction, found, policy, actor)
            speakers.expire_anew(transaction, found, policy.ttl_days)
            return overview.info(transaction, scope.find(transaction, tenant, name))

    def list(self, tenant: str, *, after: str | None = None, limit: int = 100) -> GalleryPage:
        """Return a page of the galleries of the tenant, at most 1,000, by name."""
        check_page(limit, after)
        with self._store.read() as transaction:
            found = scope.of_tenant(transaction, tenant, after or "", limit + 1)
            infos = [overview.info(transaction, each) for each in found[:limit]]
        return GalleryPage(tuple(infos), infos[-1].name if len(found) > limit else None)

    def show(self, tenant: str, name: str) -> GalleryInfo:
        """Return one gallery."""
        with self._reading(tenant, name) as (transaction, found):
            return overview.info(transaction, found)

    def delete(self, tenant: str, name: str, *, actor: str) -> ErasureReceipt:
        """Erase a gallery and everybody in it."""
        with self._changing(tenant, name) as (transaction, found):
            receipt = erasure.carry_out(transaction, erasure.of_gallery(transaction, found, actor))
        self._cache.forget(found.id)
        return receipt

    def revision(self, tenant: str, name: str) -> int:
        """Return the number that grows with every change of what decisions depend on."""
        with self._reading(tenant, name) as (_, found):
            return found.revision

    # Speakers

    def put_speaker(
        self,
        tenant: str,
        gallery: str,
        speaker: str,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        consent: Consent | None = None,
        actor: str,
    ) -> tuple[SpeakerInfo, bool]:
        """Create a speaker, or replace the name, metadata and consent of one; references stay.

        A consent of None leaves the present one as it is.

        Args:
            speaker: External id: 1 to 128 printable characters without ``/``, unique in the gallery.

        Returns:
            The speaker, and whether it is new.

        Raises:
            SpeakerOptedOut: The person asked never to be enrolled.
            ConsentMissing: The gallery requires a consent, and none is given for a new speaker.
        """
        profile = Profile(speaker, display_name, metadata or {}).checked()
        with self._changing(tenant, gallery) as (transaction, found):
            row, is_new = people.put(transaction, found, profile, consent, actor)
            return speakers.info(transaction, found, row), is_new

    def speaker(self, tenant: str, gallery: str, speaker: str) -> SpeakerInfo:
        """Return one speaker; of somebody who opted out only the state is known."""
        with self._reading(tenant, gallery) as (transaction, found):
            return speakers.describe(transaction, found, speaker)

    def speakers(
        self,
        tenant: str,
        gallery: str,
        *,
        state: SpeakerState | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> SpeakerPage:
        """Return a page of speakers, at most 1,000; nothing is kept of those who opted out."""
        check_page(limit, after)
        with self._reading(tenant, gallery) as (transaction, found):
            rows = speakers.page(transaction, found, state, after, limit + 1)
            infos = speakers.infos(transaction, found, rows[:limit])
            return SpeakerPage(tuple(infos), rows[limit - 1].id if len(rows) > limit else None)

    def patch_speaker(
        self, tenant: str, gallery: str, speaker: str, changes: Mapping[str, Any], *, actor: str
    ) -> SpeakerInfo:
        """Change some of ``external_id``, ``display_name``, ``metadata`` and ``consent``.

        Raises:
            Conflict: Another speaker has the external id.
            InvalidOptions: Another field, or a bad value.
        """
        with self._changing(tenant, gallery) as (transaction, found):
            row = people.patch(transaction, found, speaker, changes, actor)
            return speakers.info(transaction, found, row)

    def opt_out(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> ErasureReceipt:
        """Erase a speaker, who need not exist, and refuse to enrol the external id until `opt_in`."""
        with self._changing(tenant, gallery) as (transaction, found):
            return people.opt_out(transaction, found, speaker, actor)

    def opt_in(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> None:
        """Let an external id be enrolled again."""
        with self._changing(tenant, gallery) as (transaction, found):
            hashed = speakers.opted_out_as(transaction, found, speaker)
            if not hashed:
                raise NotFound("Nobody with this id opted out.")
            for subject in hashed:
                erasure.opt_in(transaction, found, subject, actor)

    def withdraw_consent(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> ErasureReceipt:
        """Erase all references of a speaker and the consent; the name stays for a new consent."""
        with self._changing(tenant, gallery) as (transaction, found):
            return people.withdraw(transaction, found, speakers.get(transaction, found, speaker), actor)

    def erase(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> ErasureReceipt:
        """Erase everything that is kept of a speaker: references, name, metadata, consent, decisions, key."""
        with self._changing(tenant, gallery) as (transaction, found):
            return people.erase(transaction, found, speaker, actor)

    def merge(self, tenant: str, gallery: str, *, into: str, source: str, actor: str) -> SpeakerInfo:
        """Move all references of one speaker to another one and remove the first.

        The consent that remains has the purposes that both agreed to, and the earlier expiry.

        Raises:
            Conflict: They are the same, or together have more references than the policy allows.
            ConsentMissing: One has no consent in force, or they have no purpose in common.
        """
        with self._changing(tenant, gallery) as (transaction, found):
            return speakers.info(transaction, found, people.merge(transaction, found, into, source, actor))

    def export(
        self, tenant: str, gallery: str, speaker: str, *, vectors: bool = False, actor: str
    ) -> dict[str, Any]:
        """Return everything that is kept of a speaker as JSON, for the person; vectors only if asked for."""
        with self._changing(tenant, gallery) as (transaction, found):
            return people.export(transaction, found, speaker, vectors, actor)

    # References

    def enrol(
        self,
        tenant: str,
        gallery: str,
        speaker: str,
        observation: Observation,
        *,
        expecting: str | None = None,
        origin: str = "audio",
        content: bytes | None = None,
        actor: str,
    ) -> Enrolment:
        """Add a recording to a speaker who exists.

        A recording that is a reference of the speaker already does not become a second one: the answer has
        that reference and is ``repeated``. Where the encoders are newer than the reference, it gets their
        vectors.

        Args:
            expecting: `SpeakerInfo.id`, read before the recording was heard. If the speaker was erased since
                then, even if the external id was put again, nothing is stored.
            origin: See `ReferenceInfo.origin`.
            content: Hash of the recording by which it is known again; None: it is taken for a new one. Only
                a hash of it by the speaker's own key is kept.

        Raises:
            NotFound: There is no such speaker.
            Erased: The speaker was erased since `expecting` was read, or during this call.
            ConsentMissing: There is no consent in force.
            SpeakerOptedOut: The person asked never to be enrolled.
            InvalidEmbedding: A vector is zero, not finite or of the wrong length.
        """
        request = Request(
            tenant, gallery, speaker, references.checked(observation), expecting, origin, content, actor
        )
        return enrol(self._store, self._cache, request)

    def enrolled(
        self, tenant: str, gallery: str, speaker: str, content: bytes, *, expecting: str | None = None
    ) -> Enrolment | None:
        """Return the answer of `enrol` to a recording that is a reference already, without hearing it.

        Returns:
            None: it is none yet. Where the reference lacks a space of the graph, ask `enrol` nevertheless.

        Raises:
            VoxError: As `enrol` does for a speaker who may not be enrolled.
        """
        return enrolled(self._store, tenant, gallery, speaker, content, expecting)

    def references(self, tenant: str, gallery: str, speaker: str) -> tuple[ReferenceInfo, ...]:
        """Return the references of a speaker, the oldest first."""
        with self._reading(tenant, gallery) as (transaction, found):
            row = speakers.get(transaction, found, speaker)
            return tuple(references.infos(transaction, row.id))

    def remove_reference(
        self, tenant: str, gallery: str, speaker: str, reference: str, *, actor: str
    ) -> ErasureReceipt:
        """Erase one reference."""
        with self._changing(tenant, gallery) as (transaction, found):
            return people.remove_reference(transaction, found, speaker, reference, actor)

    # Decisions

    def verify(
        self,
        tenant: str,
        gallery: str,
        speaker: str,
        observation: Observation,
        *,
        operating_point: OperatingPoint | None = None,
        purpose: str | None = None,
        actor: str,
    ) -> VoiceDecision:
        """Decide whether a recording is of one speaker.

        Args:
            operating_point: None: that of the gallery's policy.
            purpose: What the answer is for; a speaker who did not consent to it is not compared.
        """
        question = Question(tenant, gallery, operating_point, purpose, actor)
        return verify(self._store, self._cache, question, speaker, observation)

    def identify(
        self,
        tenant: str,
        gallery: str,
        observations: Sequence[Observation],
        *,
        top_n: int = 3,
        exclusive: bool = True,
        operating_point: OperatingPoint | None = None,
        purpose: str | None = None,
        actor: str,
    ) -> tuple[VoiceDecision, ...]:
        """Decide who of the gallery, if anybody, each voice is.

        Args:
            observations: Voices that are heard together, for instance the speakers of a conversation.
            top_n: Candidates in each answer, 1 to 20.
            exclusive: Whether two of the voices cannot be one speaker.
            operating_point: As in `verify`.
            purpose: As in `verify`.

        Returns:
            A decision for each observation, in their order.
        """
        question = Question(tenant, gallery, operating_point, purpose, actor)
        return identify(self._store, self._cache, question, observations, top_n, exclusive)

    def review(
        self, tenant: str, gallery: str, decision_id: str, verdict: Verdict, *, actor: str
    ) -> DecisionReview:
        """Say of a decision that it was right (``confirmed``) or wrong (``rejected``).

        Nothing is learned from it. The same word again changes nothing, another one replaces it.

        Raises:
            NotFound: The journal has no such decision, or no longer.
            Conflict: It names nobody and excludes nobody, so that it cannot be wrong.
        """
        with self._changing(tenant, gallery) as (transaction, found):
            return reviews.review(transaction, found, decision_id, verdict, actor)

    def reviews(self, tenant: str, gallery: str) -> tuple[ReviewSummary, ...]:
        """Return how many decisions of the journal were confirmed and rejected, and the rates of errors."""
        with self._reading(tenant, gallery) as (transaction, found):
            return reviews.summaries(transaction, found)

    def duplicates(self, tenant: str, gallery: str) -> tuple[Duplicate, ...]:
        """Return pairs of speakers whose voices are probably one, the likeliest first.

        Raises:
            Conflict: There are more active speakers than `gallery.questions.MOST_COMPARED`.
        """
        with self._reading(tenant, gallery) as (transaction, found):
            return duplicates(self._cache.get(transaction, found))

    def calibrate(self, tenant: str, gallery: str, *, actor: str) -> tuple[CalibrationReport, ...]:
        """Fit the calibration of each space on the gallery's voices; use it where they suffice.

        This takes seconds. Where the voices do not suffice, the calibration that comes with the encoder is
        used from now on, even if there was one of this gallery.
        """
        with self._reading(tenant, gallery) as (transaction, found):
            known = self._cache.get(transaction, found).speakers
            active = {name for name, voice in known.items() if voice.state == "active"}
            own = calibrations.own_references(transaction, found, active)
        outcome = {space: report.calibrate(space, voices) for space, voices in own.items()}
        with self._changing(tenant, gallery) as (transaction, found):
            calibrations.put(transaction, found, outcome, actor)
            return calibrations.reports(transaction, found)

    def reports(self, tenant: str, gallery: str) -> tuple[CalibrationReport, ...]:
        """Return the reports of the last calibration."""
        with self._reading(tenant, gallery) as (transaction, found):
            return calibrations.reports(transaction, found)
