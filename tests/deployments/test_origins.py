"""CORS origins come from the settings, or from ``ALLOWED_ORIGINS``."""

import pytest

from config.settings import GraphSettings
from deployments.ingress import with_cors_origins


@pytest.mark.parametrize(
    ("settings", "variable", "expected"),
    [
        ((), "", ()),
        ((), "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ((), "*", ("*",)),
        (("https://c.example",), "https://a.example", ("https://c.example",)),
    ],
)
def test_the_variable_applies_if_the_settings_have_no_origins(
    settings: tuple[str, ...], variable: str, expected: tuple[str, ...]
) -> None:
    assert with_cors_origins(GraphSettings(cors_origins=settings), variable).cors_origins == expected
