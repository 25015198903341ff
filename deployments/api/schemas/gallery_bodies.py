"""Bodies of requests about galleries. A field that there is not is refused."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deployments.api.schemas.common import example
from deployments.api.schemas.galleries import CONSENT, POLICY
from voxgraph.results import Consent, DuplicateGate, GalleryPolicy, OperatingPoint, SpoofGate

MAX_NUMBERS = 4096
"""Most numbers of an embedding."""
MAX_PURPOSE_CHARS = 200
"""Most characters of a purpose: it stands in the ledger for good, and a question can name no longer one."""
Purpose = Annotated[str, Field(min_length=1, max_length=MAX_PURPOSE_CHARS)]
_DEFAULTS = GalleryPolicy()


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PolicyBody(_Body):
    """How a gallery enrols and decides; what is left out has its default."""

    model_config = _Body.model_config | example(**POLICY)

    operating_point: OperatingPoint = _DEFAULTS.operating_point
    spoof_gate: SpoofGate = _DEFAULTS.spoof_gate
    duplicates: DuplicateGate = _DEFAULTS.duplicates
    require_consent: bool = _DEFAULTS.require_consent
    ttl_days: int | None = _DEFAULTS.ttl_days
    active_speech_s: float = _DEFAULTS.active_speech_s
    reference_speech_s: float = _DEFAULTS.reference_speech_s
    probe_speech_s: float = _DEFAULTS.probe_speech_s
    max_references: int = _DEFAULTS.max_references
    unknown_prior: float = _DEFAULTS.unknown_prior
    journal_days: int = _DEFAULTS.journal_days

    def policy(self) -> GalleryPolicy:
        """Return the policy; raises `InvalidOptions` for a value out of range."""
        return GalleryPolicy(**self.model_dump())


class ConsentBody(_Body):
    """What a person agreed to; times have a zone."""

    purposes: list[Purpose] = Field(min_length=1, max_length=50)
    given_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    notice_uri: str | None = Field(None, max_length=2048)
    notice_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    evidence_uri: str | None = Field(None, max_length=2048)

    def consent(self) -> Consent:
        """Return the record."""
        return Consent(**{**self.model_dump(), "purposes": tuple(self.purposes)})


class SpeakerBody(_Body):
    """A speaker who is created, or whose name, metadata and consent are replaced."""

    model_config = _Body.model_config | example(display_name="Anna", metadata={}, consent=CONSENT)

    display_name: str | None = Field(None, max_length=256)
    metadata: dict[str, Any] = {}
    consent: ConsentBody | None = None
    """None: the present one stays."""


class SpeakerChanges(_Body):
    """What changes of a speaker; a field that is left out stays."""

    model_config = _Body.model_config | example(display_name="Anna B.")

    external_id: str | None = Field(None, min_length=1, max_length=128)
    display_name: str | None = Field(None, max_length=256)
    metadata: dict[str, Any] | None = None
    consent: ConsentBody | None = None

    def changes(self) -> dict[str, Any]:
        """Return the fields that were given."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if isinstance(given.get("consent"), ConsentBody):
            given["consent"] = given["consent"].consent()
        return given


class EmbeddingBody(_Body):
    """A voice that an encoder of this graph embedded before, and the speech in its recording."""

    model_config = _Body.model_config | example(
        embedding=[0.013, -0.042], model="speechbrain/spkrec-ecapa-voxceleb",
        revision="eac27266f68caa806381260bd44ace38b136c76a", speech_s=7.4,
    )  # fmt: skip

    embedding: list[float] = Field(min_length=1, max_length=MAX_NUMBERS)
    model: str = Field(max_length=200)
    revision: str = Field(max_length=200)
    speech_s: float = Field(ge=0, le=86_400)
    """Seconds of speech in its recording."""


class MergeBody(_Body):
    """Two speakers who are one person."""

    model_config = _Body.model_config | example(**{"into": "customer-17", "from": "customer-40"})

    into: str
    """External id of the one who stays."""
    source: str = Field(alias="from")
    """External id of the one whose references move."""
