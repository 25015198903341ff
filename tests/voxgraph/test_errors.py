"""Errors cross process borders and keep their names."""

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


def test_every_error_has_a_code_of_its_own_and_stands_in_the_drawing() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    for error in ERRORS:
        assert error.__name__ in (errors.__doc__ or "")
