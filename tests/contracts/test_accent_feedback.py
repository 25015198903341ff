"""The contract of the accent feedback service for learners: `POST /classify-us-accent`."""

import httpx2
import pytest
from recordings import LABELS, post, wav


@pytest.mark.parametrize("name", [name for name, label in LABELS.items() if "accent" in label])
def test_the_answer_is_a_percentage_of_one_decimal(http: httpx2.Client, name: str) -> None:
    answer = post(http, "/classify-us-accent", files={"file": ("a.wav", wav(name), "audio/wav")})

    assert set(answer) == {"us_confidence"}
    assert 0 <= answer["us_confidence"] <= 100
    assert answer["us_confidence"] == round(answer["us_confidence"], 1)


def test_an_american_voice_sounds_more_american_than_a_scottish_one(http: httpx2.Client) -> None:
    def percent(name: str) -> float:
        return float(post(http, "/classify-us-accent", files={"file": wav(name)})["us_confidence"])

    assert percent("accent_us_m3.flac") > percent("accent_scotland_m3.flac")


def test_a_form_without_the_file_is_422(http: httpx2.Client) -> None:
    post(http, "/classify-us-accent", 422, files={"wrong": wav("accent_us_m3.flac")})
