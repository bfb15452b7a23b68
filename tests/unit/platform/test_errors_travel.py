"""Refusals travel between processes: raised in a helper, they arrive as what they were."""

import pickle

import pytest

from gridsvc import errors
from gridsvc.errors import GridsvcError, ImportRefusedError, RowError


def all_errors(kind=GridsvcError):
    return [kind, *[error for child in kind.__subclasses__() for error in all_errors(child)]]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_a_refusal_arrives_as_it_was_raised(kind):
    raised = kind("what is wrong", hint="How to mend it.", field="lon")

    arrived = pickle.loads(pickle.dumps(raised))

    assert type(arrived) is kind and kind.__module__ == errors.__name__
    assert (str(arrived), arrived.details, arrived.code) == (str(raised), raised.details, raised.code)


def test_the_rows_of_a_refused_file_arrive_too():
    raised = ImportRefusedError("refused", rows=[RowError(3, "lon", "missing")])

    assert pickle.loads(pickle.dumps(raised)).rows == (RowError(3, "lon", "missing"),)
