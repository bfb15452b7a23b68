"""The migrations: in order, reversible, and in step with the tables of the code."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from gridsvc.errors import MigrationsBehindError
from gridsvc.resources import content_dir
from gridsvc.store import migrate
from gridsvc.store.engine import make_engine
from gridsvc.store.reference_data import seed_reference
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import metadata

FOLDER = content_dir("migrations")
FILES = sorted(path for path in (FOLDER / "versions").glob("*.py") if path.name != "__init__.py")


@pytest.fixture
def empty(empty_database):
    engine = make_engine(empty_database)
    yield engine
    engine.dispose()


def script():
    return ScriptDirectory.from_config(migrate._config())


def test_numbers_follow_one_another():
    assert [path.name[:4] for path in FILES] == [f"{number:04d}" for number in range(1, len(FILES) + 1)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_revision_is_the_file_name_and_the_docstring_says_why(path: Path):
    module = script().get_revision(path.stem).module

    assert module.revision == path.stem
    assert re.search(r"^Why: \S", module.__doc__, re.MULTILINE)


def test_there_is_one_head_and_it_is_recorded():
    # two branches that both add a migration clash in this file, in git, and not in somebody's database
    assert script().get_heads() == [FILES[-1].stem]
    assert (FOLDER / ".current-head").read_text(encoding="utf-8").strip() == FILES[-1].stem


@pytest.mark.postgis
def test_up_down_up(empty):
    assert migrate.upgrade(empty) == (None, FILES[-1].stem)
    first = schema_of(empty)

    migrate.downgrade(empty)
    assert set(inspect(empty).get_table_names()) <= {"alembic_version", "spatial_ref_sys"}

    migrate.upgrade(empty)
    assert schema_of(empty) == first


@pytest.mark.postgis
def test_down_and_up_one_by_one_with_rows_in_place(empty):
    migrate.upgrade(empty)
    for path in reversed(FILES[:-1]):
        migrate.downgrade(empty, path.stem)
        assert migrate.current_and_head(empty)[0] == path.stem

    assert migrate.upgrade(empty)[1] == FILES[-1].stem


@pytest.mark.postgis
def test_two_programs_may_upgrade_at_once(empty):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: migrate.upgrade(empty), range(2)))

    assert sorted(done, key=str) == sorted([(None, FILES[-1].stem), (FILES[-1].stem, FILES[-1].stem)], key=str)


def schema_of(engine):
    """Return the columns, indexes and constraints of the database, as the server describes them."""
    with engine.connect() as connection:
        columns = text(
            "SELECT table_name, column_name, udt_name, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        indexes = text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
        constraints = text(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
        )
        return [connection.execute(statement).all() for statement in (columns, indexes, constraints)]


@pytest.mark.postgis
def test_tables_and_migrations_do_not_differ(connection):
    context = MigrationContext.configure(
        connection, opts={"include_object": migrate.is_ours, "compare_type": True, "target_metadata": metadata}
    )

    assert compare_metadata(context, metadata) == []


@pytest.mark.postgis
def test_every_check_and_exclusion_constraint_is_in_the_database(connection):
    # Alembic does not compare these
    declared = {
        (table.name, str(constraint.name))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint | ExcludeConstraint)
    }
    statement = text(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype IN ('c', 'x')"
        " AND connamespace = 'public'::regnamespace AND conparentid = 0"
    )
    found = {tuple(row) for row in connection.execute(statement) if row[0] in metadata.tables}

    assert declared == found


@pytest.mark.postgis
def test_check_constraints_are_those_of_the_tables(empty, connection):
    # the same constraints, made from the tables and made by the migrations, as the server prints them back
    migrate.upgrade(empty)
    built = schema_of(empty)[2]
    migrate.downgrade(empty)
    with empty.begin() as fresh:
        metadata.create_all(fresh)

    assert [row for row in schema_of(empty)[2] if row[0] in metadata.tables] == [
        row for row in built if row[0] in metadata.tables
    ]


# what is drawn, not where it is: no CRS, and at a far zoom a narrow shape touches itself
PIXELS = ("tile_shapes", "shape")


@pytest.mark.postgis
def test_every_geometry_has_an_index_and_is_held_sound(connection):
    for table in metadata.tables.values():
        indexed = {column.name for index in table.indexes for column in index.columns}
        checked = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
        for column in table.columns:
            if hasattr(column.type, "geometry_type") and (table.name, column.name) != PIXELS:
                assert column.type.srid == 4490, (table.name, column.name)
                assert f"ck_{table.name}_{column.name}_sound" in checked, (table.name, column.name)
                assert column.name in indexed or column.name in ("entrance", "entrances"), (table.name, column.name)


@pytest.mark.postgis
def test_sql_functions_are_those_of_the_files(connection):
    for name in ("gridsvc_locate", "gridsvc_division_at"):
        stored = connection.scalar(text("SELECT prosrc FROM pg_proc WHERE proname = :name"), {"name": name})

        assert stored in sql_text("locate")


@pytest.mark.postgis
def test_seeding_again_changes_no_row(connection):
    written = text("SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_xact_user_tables")
    before = connection.scalar(written) or 0

    seed_reference(connection)

    assert (connection.scalar(written) or 0) == before


@pytest.mark.postgis
def test_a_database_that_is_behind_is_told_so(empty):
    with pytest.raises(MigrationsBehindError, match=r"holds no gridsvc tables.*gridsvc db upgrade"):
        migrate.check_schema(empty)

    migrate.upgrade(empty, FILES[2].stem)
    with pytest.raises(MigrationsBehindError, match=f"is at {FILES[2].stem}, this program needs {FILES[-1].stem}"):
        migrate.check_schema(empty)

    migrate.upgrade(empty)
    migrate.check_schema(empty)

    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    with pytest.raises(MigrationsBehindError, match="a newer gridsvc"):
        migrate.check_schema(empty)
