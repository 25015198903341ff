"""Decisions may be confirmed or rejected by a person."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; nobody has looked at what was decided before."""
    op.add_column("decisions", sa.Column("verdict", sa.String(length=16), nullable=True))
    op.add_column("decisions", sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("decisions", sa.Column("reviewed_by", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    for name in ("verdict", "reviewed_at", "reviewed_by"):
        op.drop_column("decisions", name)
