"""The galleries of all tenants: what may be asked of them.

Every method names the tenant first and sees nothing of another one: an object of another tenant is
`NotFound`. Every method that changes something, or that compares voices, names the actor, which is the name
of the caller's key; the ledger keeps it. The methods block for milliseconds and may be called from any
thread.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from voxgraph.results import (
    CalibrationReport,
    Consent,
    Duplicate,
    Enrolment,
    ErasureReceipt,
    GalleryInfo,
    GalleryPolicy,
    LedgerCheck,
    LedgerEntry,
    Observation,
    OperatingPoint,
    ReferenceInfo,
    Space,
    SpeakerInfo,
    SpeakerPage,
    SpeakerState,
    VoiceDecision,
)


class Galleries:
    """All galleries of one store.

    Args:
        state: A folder, which then holds ``gallery.db`` and its keys, or the URL of a PostgreSQL database
            (``postgresql://user:password@host/name``).
        erasures: The list of erasures, a file that only grows and holds no personal data. It belongs outside
            the backup of the store: after a restore it erases again whom the backup brought back. By default
            it is ``erasures.jsonl`` in the folder, and there is none beside PostgreSQL.
        spaces: The speaker spaces that the graph has now; None: not known, so that no speaker is ``stale``.

    Raises:
        GalleryUnavailable: The store cannot be opened, or its master key is missing.
    """

    def __init__(
        self, state: str | Path, *, erasures: Path | None = None, spaces: Sequence[Space] | None = None
    ) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Galleries

    def create(
        self, tenant: str, name: str, policy: GalleryPolicy | None = None, *, actor: str
    ) -> GalleryInfo:
        """Create a gallery; one that exists with the same policy stays as it is.

        Raises:
            Conflict: There is one with another policy.
            InvalidOptions: The name is not 1 to 64 of ``A-Z a-z 0-9 . _ -``.
        """
        raise NotImplementedError

    def update(self, tenant: str, name: str, policy: GalleryPolicy, *, actor: str) -> GalleryInfo:
        """Replace the policy of a gallery."""
        raise NotImplementedError

    def list(self, tenant: str) -> tuple[GalleryInfo, ...]:
        """Return all galleries of the tenant, by name."""
        raise NotImplementedError

    def show(self, tenant: str, name: str) -> GalleryInfo:
        """Return one gallery."""
        raise NotImplementedError

    def delete(self, tenant: str, name: str, *, actor: str) -> ErasureReceipt:
        """Erase a gallery and everybody in it."""
        raise NotImplementedError

    def revision(self, tenant: str, name: str) -> int:
        """Return the number that grows with every change of what decisions depend on."""
        raise NotImplementedError

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
            speaker: External id: 1 to 128 printable characters, unique in the gallery.

        Returns:
            The speaker, and whether it is new.

        Raises:
            SpeakerOptedOut: The person asked never to be enrolled.
            ConsentMissing: The gallery requires a consent, and none is given for a new speaker.
        """
        raise NotImplementedError

    def speaker(self, tenant: str, gallery: str, speaker: str) -> SpeakerInfo:
        """Return one speaker; of somebody who opted out only the state is known."""
        raise NotImplementedError

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
        raise NotImplementedError

    def patch_speaker(
        self, tenant: str, gallery: str, speaker: str, changes: Mapping[str, Any], *, actor: str
    ) -> SpeakerInfo:
        """Change some of ``external_id``, ``display_name``, ``metadata`` and ``consent``.

        Raises:
            Conflict: Another speaker has the external id.
            InvalidOptions: Another field, or a bad value.
        """
        raise NotImplementedError

    def opt_out(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> ErasureReceipt:
        """Erase a speaker, who need not exist, and refuse to enrol the external id until `opt_in`."""
        raise NotImplementedError

    def opt_in(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> None:
        """Let an external id be enrolled again."""
        raise NotImplementedError

    def withdraw_consent(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> ErasureReceipt:
        """Erase all references of a speaker and the consent; the name stays for a new consent."""
        raise NotImplementedError

    def erase(self, tenant: str, gallery: str, speaker: str, *, actor: str) -> ErasureReceipt:
        """Erase everything that is kept of a speaker: references, name, metadata, consent, decisions, key."""
        raise NotImplementedError

    def merge(self, tenant: str, gallery: str, *, into: str, source: str, actor: str) -> SpeakerInfo:
        """Move all references of one speaker to another one and remove the first.

        The consent that remains has the purposes that both agreed to, and the earlier expiry.

        Raises:
            Conflict: They are the same, or together have more references than the policy allows.
            ConsentMissing: One has no consent in force, or they have no purpose in common.
        """
        raise NotImplementedError

    def export(
        self, tenant: str, gallery: str, speaker: str, *, vectors: bool = False, actor: str
    ) -> dict[str, Any]:
        """Return everything that is kept of a speaker as JSON, for the person; vectors only if asked for."""
        raise NotImplementedError

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
        actor: str,
    ) -> Enrolment:
        """Add a recording to a speaker who exists.

        Args:
            expecting: `SpeakerInfo.id`, read before the recording was heard. If the speaker was erased since
                then, even if the external id was put again, nothing is stored.
            origin: See `ReferenceInfo.origin`.

        Raises:
            NotFound: There is no such speaker.
            Erased: The speaker was erased since `expecting` was read, or during this call.
            ConsentMissing: There is no consent in force.
            SpeakerOptedOut: The person asked never to be enrolled.
            InvalidEmbedding: A vector is zero, not finite or of the wrong length.
        """
        raise NotImplementedError

    def references(self, tenant: str, gallery: str, speaker: str) -> tuple[ReferenceInfo, ...]:
        """Return the references of a speaker, the oldest first."""
        raise NotImplementedError

    def remove_reference(
        self, tenant: str, gallery: str, speaker: str, reference: str, *, actor: str
    ) -> ErasureReceipt:
        """Erase one reference."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def duplicates(self, tenant: str, gallery: str) -> tuple[Duplicate, ...]:
        """Return pairs of speakers whose voices are probably one, the likeliest first."""
        raise NotImplementedError

    def calibrate(self, tenant: str, gallery: str, *, actor: str) -> tuple[CalibrationReport, ...]:
        """Fit the calibration of each space on the gallery's voices; use it where they suffice."""
        raise NotImplementedError

    def reports(self, tenant: str, gallery: str) -> tuple[CalibrationReport, ...]:
        """Return the reports of the last calibration."""
        raise NotImplementedError

    # Proof

    def ledger(self, tenant: str, *, after: int = 0, limit: int = 1000) -> tuple[LedgerEntry, ...]:
        """Return lines of the tenant's ledger with a ``seq`` above `after`."""
        raise NotImplementedError

    def receipts(self, tenant: str) -> tuple[ErasureReceipt, ...]:
        """Return the receipts of all erasures of the tenant, the oldest first."""
        raise NotImplementedError

    def verify_ledger(self, tenant: str) -> LedgerCheck:
        """Check the chain and all signatures of a tenant's ledger and receipts."""
        raise NotImplementedError

    @property
    def public_key(self) -> str:
        """The Ed25519 key that signs receipts and ledger, base64, for `gallery.ledger.verify_ledger`."""
        raise NotImplementedError

    def reapply_erasures(self) -> int:
        """Erase again whom a restored backup brought back; return how many erasures had to be repeated."""
        raise NotImplementedError

    def sweep(self, now: datetime | None = None) -> int:
        """Erase the references of speakers who have expired, and old decisions; return how many speakers."""
        raise NotImplementedError
