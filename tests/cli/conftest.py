"""Runs the ``gridsvc`` command in the process of the tests."""

from __future__ import annotations

import sys

import pytest

from gridsvc.cli.main import main


@pytest.fixture
def gridsvc_database():
    """Return the database that ``gridsvc`` uses; a file of tests puts its own in its place. None: that of the environment."""
    return


@pytest.fixture
def gridsvc(gridsvc_database, monkeypatch, capsys):
    """Return a function that runs the entry point and returns exit status, standard output and standard error."""
    if gridsvc_database is not None:
        monkeypatch.setenv("GRIDSVC_DATABASE_URL", gridsvc_database)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gridsvc", *arguments])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return run
