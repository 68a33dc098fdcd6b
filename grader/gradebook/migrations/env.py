"""How Alembic runs a step: on the connection that the store hands it, or, to write a new step, on a URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from grader.gradebook.tables import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    _run(connection)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url", "sqlite://")).connect() as fresh:
        _run(fresh)
