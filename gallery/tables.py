"""The tables of the store, for SQLite and PostgreSQL alike.

Ids are random. Whatever tells of a person is sealed with the speaker's data key: names, metadata, consent and
vectors. What stays readable is opaque: ids, keyed hashes, seconds, times and figures.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from voxgraph.results import GalleryPolicy


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone; SQLite has none, so that there it is kept without and read as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a time into UTC."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read a time as UTC."""
        if value is None:
            return None
        found: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return found


metadata = sa.MetaData()
key_metadata = sa.MetaData()


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(40), primary_key=True)


def _of(table: str, name: str, *, primary_key: bool = False) -> sa.Column[Any]:
    """Return a column that refers to another table; its rows go with the row that they refer to."""
    return sa.Column(
        name, sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.String(128), nullable=False)


def _at(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, UtcTime(), nullable=nullable)


galleries = sa.Table(
    "galleries", metadata, _id(), _tenant(),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("policy", sa.JSON, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    _at("created_at"),
    sa.UniqueConstraint("tenant_id", "name"),
)  # fmt: skip
speakers = sa.Table(
    "speakers", metadata, _id(), _tenant(), _of("galleries", "gallery_id"),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("key_id", sa.String(40), nullable=False),
    sa.Column("profile", sa.LargeBinary, nullable=False),
    sa.Column("merged", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("reference_count", sa.Integer, nullable=False),
    sa.Column("speech_s", sa.Float, nullable=False),
    _at("created_at"), _at("updated_at"), _at("enrolled_at", nullable=True), _at("expires_at", nullable=True),
    sa.UniqueConstraint("gallery_id", "subject"),
    sa.Index("speakers_in_order", "gallery_id", "id"),
    sa.Index("speakers_by_expiry", "expires_at"),
)  # fmt: skip
"""``subject``: keyed hash of tenant, gallery and external id. ``profile``: sealed JSON. ``merged``: ids
of the speakers that were merged into this one and of their keys, which an erasure reaches in backups too."""
consents = sa.Table(
    "consents", metadata, _of("speakers", "speaker_id", primary_key=True), _tenant(),
    sa.Column("record", sa.LargeBinary, nullable=False),
    _at("given_at"), _at("expires_at", nullable=True),
)  # fmt: skip
spaces = sa.Table(
    "spaces", metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("model", sa.String(256), nullable=False),
    sa.Column("revision", sa.String(256), nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
    sa.UniqueConstraint("model", "revision", "dim"),
)  # fmt: skip
refs = sa.Table(
    "refs", metadata, _id(), _tenant(), _of("galleries", "gallery_id"), _of("speakers", "speaker_id"),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("origin", sa.String(32), nullable=False),
    _at("created_at"),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("fingerprint", sa.String(64)),
    sa.Index("refs_of_speaker", "speaker_id"),
    sa.Index("refs_of_gallery", "gallery_id"),
)  # fmt: skip
"""``fingerprint``: hash of the recording, keyed with the speaker's data key; None where nobody gave one."""
vectors = sa.Table(
    "vectors", metadata, _of("refs", "reference_id", primary_key=True),
    sa.Column("space_id", sa.ForeignKey("spaces.id"), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)  # fmt: skip
opt_outs = sa.Table(
    "opt_outs", metadata, _of("galleries", "gallery_id", primary_key=True),
    sa.Column("subject", sa.String(64), primary_key=True),
    _at("at"),
)  # fmt: skip
changes = sa.Table(
    "changes", metadata, _of("galleries", "gallery_id", primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True),
    sa.Column("speaker_id", sa.String(40), primary_key=True),
)  # fmt: skip
"""Which speakers changed with which revision: what a cache has to read again."""
decisions = sa.Table(
    "decisions", metadata, _id(), _tenant(), _of("galleries", "gallery_id"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("decision", sa.String(32), nullable=False),
    sa.Column("speaker_id", sa.String(40)),
    sa.Column("figures", sa.JSON, nullable=False),
    _at("at"),
    sa.Column("verdict", sa.String(16)), _at("reviewed_at", nullable=True),
    sa.Column("reviewed_by", sa.String(128)),
    sa.Index("decisions_by_time", "gallery_id", "at"),
    sa.Index("decisions_of_speaker", "speaker_id"),
)  # fmt: skip
"""``verdict``: what a person who looked at the decision said of it, ``confirmed`` or ``rejected``."""
erasures = sa.Table(
    "erasures", metadata, _id(), _tenant(),
    sa.Column("targets", sa.JSON, nullable=False),
    sa.Column("receipt", sa.JSON(none_as_null=True)),
    sa.Column("ledger_seq", sa.BigInteger, nullable=False),
    sa.Index("erasures_of_tenant", "tenant_id", "ledger_seq"),
)  # fmt: skip
chains = sa.Table(
    "chains", metadata, sa.Column("tenant_id", sa.String(128), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)  # fmt: skip
"""The last line of each tenant's ledger."""
ledger = sa.Table(
    "ledger", metadata, sa.Column("tenant_id", sa.String(128), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    _at("at"),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("object", sa.String(128), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)  # fmt: skip
calibrations = sa.Table(
    "calibrations", metadata, _of("galleries", "gallery_id", primary_key=True),
    sa.Column("space_id", sa.ForeignKey("spaces.id"), primary_key=True),
    sa.Column("params", sa.JSON(none_as_null=True)),
    sa.Column("report", sa.JSON, nullable=False),
    sa.Column("det_plot", sa.LargeBinary),
    _at("created_at"),
)  # fmt: skip
facts = sa.Table(
    "facts", metadata, sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)  # fmt: skip
"""What the store remembers of itself, for instance a hash of its master key."""

data_keys = sa.Table(
    "data_keys", key_metadata, _id(), sa.Column("wrapped", sa.LargeBinary, nullable=False), _at("created_at")
)
"""The data key of each speaker, sealed with the master key. In SQLite it is a database of its own, so that a
backup of the galleries holds none."""


def policy_of(kept: dict[str, Any]) -> GalleryPolicy:
    """Return a policy as it was kept; fields that are new since then have their defaults."""
    return GalleryPolicy(**kept)
