"""Which browsers may call: by the settings, or by ``ALLOWED_ORIGINS``."""

import pytest

from config.settings import GraphSettings
from deployments.ingress import with_origins


@pytest.mark.parametrize(
    ("settings", "variable", "expected"),
    [
        ((), "", ()),
        ((), "https://a.example, https://b.example,", ("https://a.example", "https://b.example")),
        ((), "*", ("*",)),
        (("https://c.example",), "https://a.example", ("https://c.example",)),
    ],
)
def test_the_variable_counts_where_the_settings_name_none(
    settings: tuple[str, ...], variable: str, expected: tuple[str, ...]
) -> None:
    assert with_origins(GraphSettings(cors_origins=settings), variable).cors_origins == expected
