"""Extensions: PostGIS, and btree_gist for exclusion constraints over a code and a validity.

Why: geometry columns need PostGIS, and "one code at a time" needs equality inside a GiST index.
"""

from alembic import op

revision = "0001_extensions"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")


def downgrade() -> None:
    # both stay: they may have been there before us, and other schemas of the database may use them
    pass
