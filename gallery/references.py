"""The references of the speakers: one for each enrolled recording, with a sealed vector in each space."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from gallery.data_keys import chunks
from gallery.keys import DataKey, new_id
from gallery.scope import Scope, space_ids
from gallery.speakers import Row
from gallery.store import Transaction, insert_missing
from gallery.tables import refs, spaces, speakers, vectors
from voxgraph.errors import InvalidEmbedding, NotFound
from voxgraph.results import Evidence, Observation, ReferenceInfo, Space, VoiceSample

MAX_DIM = 4096


@dataclass(frozen=True, slots=True, eq=False)
class KeptVector:
    """A vector of a reference, opened."""

    speaker_id: str
    reference_id: str
    space: Space
    vector: npt.NDArray[np.float32]
    """(dim,), as it was enrolled."""
    speech_s: float
    """Seconds of speech in the recording."""


def checked(observation: Observation) -> Observation:
    """Return the observation with vectors of float32.

    Raises:
        InvalidEmbedding: There is none, two are of one space, or one is zero, not finite or too long,
            or of a space whose name cannot be printed.
    """
    if len({sample.space for sample in observation.samples}) != len(observation.samples):
        raise InvalidEmbedding("A recording has at most one vector in a space.")
    if not observation.samples:
        raise InvalidEmbedding("There is no vector.")
    samples = []
    for sample in observation.samples:
        vector = np.asarray(sample.vector)
        if not (sample.space.model.isprintable() and sample.space.revision.isprintable()):
            raise InvalidEmbedding("The names of a model and its revision have printable characters only.")
        if vector.shape != (sample.space.dim,) or not 1 <= sample.space.dim <= MAX_DIM:
            raise InvalidEmbedding(f"A vector of this space has {sample.space.dim} numbers.")
        vector = vector.astype(np.float32)
        if not np.isfinite(vector).all() or not np.linalg.norm(vector.astype(np.float64)) > 0:
            raise InvalidEmbedding("A vector has finite numbers that are not all zero.")
        samples.append(VoiceSample(sample.space, vector))
    return Observation(tuple(samples), observation.evidence, observation.label)


def insert(
    transaction: Transaction,
    scope: Scope,
    row: Row,
    observation: Observation,
    origin: str,
    actor: str,
    content: bytes | None,
) -> str:
    """Add a reference to a speaker; return its id."""
    reference_id = new_id("ref")
    fingerprint = None if content is None else transaction.store.key(row.key_id).fingerprint(content)
    transaction.execute(
        refs.insert().values(
            id=reference_id, tenant_id=scope.tenant, gallery_id=scope.id, speaker_id=row.id, origin=origin,
            evidence=asdict(observation.evidence), created_at=transaction.now, created_by=actor,
            fingerprint=fingerprint,
        )
    )  # fmt: skip
    add_vectors(transaction, row, reference_id, observation.samples)
    return reference_id


def add_vectors(
    transaction: Transaction, row: Row, reference_id: str, samples: Sequence[VoiceSample]
) -> None:
    """Give a reference vectors in spaces in which it has none."""
    key = transaction.store.key(row.key_id)
    for sample in samples:
        space_id = _space_id(transaction, sample.space)
        sealed = key.seal(sample.vector.tobytes(), _belonging(row.id, reference_id, space_id))
        transaction.execute(
            vectors.insert().values(reference_id=reference_id, space_id=space_id, sealed=sealed)
        )
    count(transaction, row.id)
    transaction.execute(speakers.update().where(speakers.c.id == row.id).values(enrolled_at=transaction.now))


def of_content(transaction: Transaction, row: Row, content: bytes) -> ReferenceInfo | None:
    """Return the speaker's reference that was made of a recording, or None.

    Args:
        content: Hash of the recording, as `insert` was given it.
    """
    # References that a merge brought have hashes by the key of the speaker who was merged.
    keys = transaction.store.keys.get([row.key_id, *row.merged["keys"]])
    query = sa.select(refs.c.id).where(
        refs.c.speaker_id == row.id,
        refs.c.fingerprint.in_([key.fingerprint(content) for key in keys.values()]),
    )  # fmt: skip
    found = transaction.execute(query.order_by(refs.c.id)).scalars().first()
    return None if found is None else info(transaction, row.id, found)


def count(transaction: Transaction, speaker_id: str) -> None:
    """Bring the counts of a speaker up to date with the references."""
    evidence = transaction.execute(
        sa.select(refs.c.evidence).where(refs.c.speaker_id == speaker_id)
    ).scalars()
    lengths = [each["speech_s"] for each in evidence]
    transaction.execute(
        speakers.update().where(speakers.c.id == speaker_id).values(
            reference_count=len(lengths), speech_s=float(sum(lengths))
        )
    )  # fmt: skip


def move(transaction: Transaction, source: Row, into: Row) -> None:
    """Give all references of one speaker to another one, sealed with the key of the other."""
    old_key, new_key = transaction.store.key(source.key_id), transaction.store.key(into.key_id)
    query = (
        sa.select(vectors)
        .join(refs, refs.c.id == vectors.c.reference_id)
        .where(refs.c.speaker_id == source.id)
    )
    for row in transaction.execute(query).all():
        content = old_key.open(row.sealed, _belonging(source.id, row.reference_id, row.space_id))
        transaction.execute(
            vectors.update()
            .where(vectors.c.reference_id == row.reference_id, vectors.c.space_id == row.space_id)
            .values(sealed=new_key.seal(content, _belonging(into.id, row.reference_id, row.space_id)))
        )
    transaction.execute(refs.update().where(refs.c.speaker_id == source.id).values(speaker_id=into.id))


def ids_of(transaction: Transaction, speaker_id: str) -> list[str]:
    """Return the ids of all references of a speaker."""
    query = sa.select(refs.c.id).where(refs.c.speaker_id == speaker_id).order_by(refs.c.id)
    return list(transaction.execute(query).scalars())


def infos(transaction: Transaction, speaker_id: str) -> list[ReferenceInfo]:
    """Describe the references of a speaker, the oldest first."""
    used: dict[str, list[Space]] = {}
    joined = (
        sa.select(vectors.c.reference_id, spaces.c.model, spaces.c.revision, spaces.c.dim)
        .join(spaces, spaces.c.id == vectors.c.space_id).join(refs, refs.c.id == vectors.c.reference_id)
        .where(refs.c.speaker_id == speaker_id)
    )  # fmt: skip
    for row in transaction.execute(joined):
        used.setdefault(row.reference_id, []).append(Space(row.model, row.revision, row.dim))
    query = sa.select(refs).where(refs.c.speaker_id == speaker_id).order_by(refs.c.id)
    return [
        ReferenceInfo(
            row.id, Evidence(**row.evidence), tuple(sorted(used.get(row.id, []))), row.origin, row.created_at,
            row.created_by,
        )
        for row in transaction.execute(query)
    ]  # fmt: skip


def info(transaction: Transaction, speaker_id: str, reference_id: str) -> ReferenceInfo:
    """Describe one reference.

    Raises:
        NotFound: The speaker has none with this id.
    """
    for found in infos(transaction, speaker_id):
        if found.id == reference_id:
            return found
    raise NotFound("The speaker has no such reference.")


def opened(transaction: Transaction, rows: Sequence[Row], keys: dict[str, DataKey]) -> Iterator[KeptVector]:
    """Open all vectors of some speakers.

    Args:
        rows: Of `speakers`.
        keys: Data keys by their id; speakers whose key is missing are left out.
    """
    of_speaker = {row.id: keys[row.key_id] for row in rows if row.key_id in keys}
    known = {space_id: space for space, space_id in space_ids(transaction).items()}
    for some in chunks(of_speaker):
        query = (
            sa.select(refs.c.speaker_id, refs.c.evidence, vectors)
            .join(vectors, vectors.c.reference_id == refs.c.id)
            .where(refs.c.speaker_id.in_(some)).order_by(refs.c.id)
        )  # fmt: skip
        for row in transaction.execute(query):
            belonging = _belonging(row.speaker_id, row.reference_id, row.space_id)
            content = of_speaker[row.speaker_id].open(row.sealed, belonging)
            yield KeptVector(
                row.speaker_id, row.reference_id, known[row.space_id], np.frombuffer(content, np.float32),
                row.evidence["speech_s"],
            )  # fmt: skip


def _space_id(transaction: Transaction, space: Space) -> int:
    """Return the number of a space, which gets one when it is first seen."""
    if (found := space_ids(transaction).get(space)) is not None:
        return found
    insert_missing(transaction.connection, spaces, asdict(space))
    return space_ids(transaction)[space]


def _belonging(speaker_id: str, reference_id: str, space_id: int) -> str:
    return f"{speaker_id}:{reference_id}:{space_id}"
