"""How the tables came to be: alembic revisions, run when a store is opened."""
