"""Alembic migrations of the gridsvc database; run them with ``gridsvc db upgrade`` (see gridsvc/store/migrate.py)."""
