"""Clips are grouped by what is known about them."""

from deployments.api.schemas.analysis import AnalysisAnswer
from evaluation.asking import Answered
from evaluation.groups import groups
from evaluation.manifest import Clip


def answered(seconds: float = 1.0, **labels: object) -> Answered:
    clip = Clip("a", **labels)  # type: ignore[arg-type]
    return Answered(clip, AnalysisAnswer(processing_time=0.0, audio_duration=seconds))


def names(answers: list[Answered], *kinds: str) -> list[str]:
    return [name for name, _ in groups(answers, kinds)]


def test_bands_are_in_the_order_of_their_values_and_their_ends_belong_to_the_next() -> None:
    lengths = [answered(seconds) for seconds in (30.0, 0.5, 10.0, 3.0, 1.0)]
    ages = [answered(age=age) for age in (60, 17, 13, 59, 12, 18)]

    assert names(lengths, "length") == [
        "length: under 1 s", "length: 1 to 3 s", "length: 3 to 10 s", "length: 10 to 30 s",
        "length: 30 s and more",
    ]  # fmt: skip
    assert [(name, found.tolist()) for name, found in groups(ages, ("age",))] == [
        ("age: under 13", [4]), ("age: 13 to 17", [1, 2]), ("age: 18 to 59", [3, 5]),
        ("age: 60 and over", [0]),
    ]  # fmt: skip


def test_what_is_not_known_of_a_clip_puts_it_into_no_group() -> None:
    answers = [
        answered(source="a", age=5),
        answered(source="a"),
        answered(age=30),
        answered(source="b", age=5),
    ]

    assert names(answers, "source and age") == ["source and age: a, under 13", "source and age: b, under 13"]


def test_one_group_is_no_division() -> None:
    assert names([answered(source="a"), answered(source="a")], "source", "sex") == []


def test_generated_and_short_clips_are_told_from_real_ones() -> None:
    answers = [answered(3.0), answered(2.9), answered(9.0, label="fake"), answered(3.0, label="real")]

    assert {name: found.tolist() for name, found in groups(answers, ("kind",))} == {
        "kind: generated": [2], "kind: real, 3 s and more": [0, 3], "kind: real, under 3 s": [1],
    }  # fmt: skip
