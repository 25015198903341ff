"""References know their recording again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; references from before have none."""
    op.add_column("refs", sa.Column("fingerprint", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("refs", "fingerprint")
