"""What alembic runs to apply revisions: it gets the connection from the caller, and no file."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
