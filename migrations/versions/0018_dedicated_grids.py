"""Dedicated grids: campuses, markets and parks as governance grids of their own.

Why: no household bound holds them, so they must be told from composite grids wherever grids are judged.
"""

from alembic import op

revision = "0018_dedicated_grids"
down_revision = "0017_division_runs"
branch_labels = None
depends_on = None

_TABLES = ("grids", "redraw_grids")
_BEFORE = "kind IN ('unit', 'governance', 'security', 'unified')"
_AFTER = "kind IN ('unit', 'governance', 'dedicated', 'security', 'unified')"


def upgrade() -> None:
    _constrain(_AFTER)


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"UPDATE {table} SET kind = 'governance' WHERE kind = 'dedicated'")
    _constrain(_BEFORE)


def _constrain(condition: str) -> None:
    for table in _TABLES:
        op.drop_constraint(op.f(f"ck_{table}_kind_known"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_kind_known"), table, condition)
