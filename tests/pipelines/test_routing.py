"""Test the choice of the speaker encoder."""

import pytest

from pipelines.routing import encoder_for
from voxgraph.options import ModelKey


@pytest.mark.parametrize("language", ["zh", "cmn", "yue", "ja", "ko", "th", "vi"])
def test_asian_languages_go_to_the_cnceleb_encoder(language: str) -> None:
    assert encoder_for(language) is ModelKey.SPEAKER_CNCELEB


@pytest.mark.parametrize("language", ["en", "de", "hi", "id", "unknown", ""])
def test_all_other_languages_go_to_the_voxceleb_encoder(language: str) -> None:
    assert encoder_for(language) is ModelKey.SPEAKER_VOXCELEB
