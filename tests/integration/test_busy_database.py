"""All connections in use: a refusal that says to wait, and work again as soon as one is free."""

from __future__ import annotations

import pytest

from gridsvc.errors import DatabaseBusyError
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web.errors import status_of

pytestmark = pytest.mark.postgis


def test_when_all_connections_are_in_use_it_is_refused_and_works_again_later(town_database):
    engine = make_engine(town_database, pool_size=1)
    engine.pool._timeout = 0.05  # ours is SQLAlchemy's half a minute
    with UnitOfWork(engine) as one, UnitOfWork(engine):
        with pytest.raises(DatabaseBusyError, match="connections") as refused, UnitOfWork(engine):
            pass
        assert one.connection.exec_driver_sql("SELECT 1").scalar() == 1
    with UnitOfWork(engine) as later:
        assert later.connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()

    assert status_of(refused.value) == 503
