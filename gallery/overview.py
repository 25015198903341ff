"""What is said about a gallery as a whole."""

import sqlalchemy as sa

from gallery.scope import Scope
from gallery.speakers import count_by_state
from gallery.store import Transaction
from gallery.tables import refs, spaces, speakers, vectors
from voxgraph.results import GalleryInfo, Space


def info(transaction: Transaction, scope: Scope) -> GalleryInfo:
    """Describe a gallery."""
    total = transaction.execute(
        sa.select(sa.func.coalesce(sa.func.sum(speakers.c.reference_count), 0)).where(
            speakers.c.gallery_id == scope.id
        )
    ).scalar_one()
    return GalleryInfo(
        name=scope.name, policy=scope.policy, revision=scope.revision, created_at=scope.created_at,
        speakers=count_by_state(transaction, scope), references=int(total),
        spaces=_spaces(transaction, scope),
    )  # fmt: skip


def _spaces(transaction: Transaction, scope: Scope) -> tuple[Space, ...]:
    """Return the spaces in which the gallery has vectors."""
    used = (
        sa.select(vectors.c.space_id).join(refs, refs.c.id == vectors.c.reference_id)
        .where(refs.c.gallery_id == scope.id).distinct()
    )  # fmt: skip
    rows = transaction.execute(sa.select(spaces).where(spaces.c.id.in_(used)))
    return tuple(sorted(Space(row.model, row.revision, row.dim) for row in rows))
