"""Errors are pickled between processes and have stable codes."""

import pickle

import pytest

from voxgraph import errors

ERRORS = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.VoxError)
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_pickles(error: type[errors.VoxError]) -> None:
    copy = pickle.loads(pickle.dumps(error("because")))

    assert (type(copy), copy.detail, copy.code, str(copy)) == (error, "because", error.code, "because")


def test_every_error_has_a_unique_code_and_is_in_the_tree_of_the_module_docstring() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    for error in ERRORS:
        assert error.__name__ in (errors.__doc__ or "")
