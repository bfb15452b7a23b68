"""How Alembic meets our database: on the connection that ``gridsvc.store.migrate`` hands over, never on one of its own."""

from alembic import context
from geoalchemy2 import alembic_helpers

from gridsvc.store.migrate import is_ours
from gridsvc.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_object=is_ours,
    process_revision_directives=alembic_helpers.writer,
    render_item=alembic_helpers.render_item,
    compare_type=True,
    # each migration stands alone: what is done stays done when a later one fails
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
