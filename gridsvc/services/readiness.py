"""Whether the program can do its work: the database answers and its schema is the one this program needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from gridsvc.errors import MigrationsBehindError
from gridsvc.store.migrate import head
from gridsvc.store.unit_of_work import UnitOfWork

UnitOfWorkMaker = Callable[..., UnitOfWork]


def check_ready(app_services: Any) -> str:
    """Return the schema revision in force.

    Raises
    ------
    DatabaseUnavailableError
        When the database does not answer.
    MigrationsBehindError
        When its schema is another than this program's.
    """
    with app_services.unit_of_work() as uow:
        found = uow.connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    wanted = head()
    if found != wanted:
        raise MigrationsBehindError(
            f"The database schema is at {found or 'nothing'}, this program needs {wanted}.",
            hint="Run `gridsvc db upgrade`.",
        )
    return found
