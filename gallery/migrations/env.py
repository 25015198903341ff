"""Runs the migrations on the connection that `gallery.database.Database` hands over."""

from alembic import context

from gallery.tables import key_metadata, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=[metadata, key_metadata]
)
with context.begin_transaction():
    context.run_migrations()
