"""Clips are chosen for the questions that their labels answer, and spread when there is a limit."""

from collections import Counter

from evaluation.manifest import Clip
from evaluation.selection import CLIPS_A_SPEAKER, MAX_SPEAKER_CLIPS, requests


def tasks(clip: Clip) -> tuple[str, ...]:
    return next((request.tasks for request in requests([clip])), ())


def test_a_clip_is_asked_only_what_its_labels_answer() -> None:
    assert tasks(Clip("a")) == ()
    assert tasks(Clip("a", lang="de")) == ("language",)
    assert tasks(Clip("a", speaker="ann")) == ("speaker",)
    assert tasks(Clip("a", us=False, lang="en")) == ("language", "accent")
    assert tasks(Clip("a", us=True, lang="de")) == ("language",)
    # A generated voice is nobody's, and has no accent of a person.
    assert tasks(Clip("a", speaker="ann", us=True, label="fake")) == ("deepfake",)


def test_only_the_questions_that_are_wanted_are_asked() -> None:
    clip = Clip("a", lang="de", speaker="ann", label="real")

    assert [request.tasks for request in requests([clip], ("deepfake", "speaker"))] == [
        ("speaker", "deepfake")
    ]


def test_a_limit_takes_from_every_source_language_and_speaker_in_turn() -> None:
    clips = [
        Clip(f"{source}{lang}{speaker}{number}", source=source, lang=lang, speaker=speaker)
        for source in ("x", "y") for lang in ("de", "en") for speaker in ("ann", "bob") for number in range(5)
    ]  # fmt: skip

    chosen = [request.clip for request in requests(clips, ("language",), limit=4)]

    assert Counter((clip.source, clip.lang, clip.speaker) for clip in chosen) == Counter(
        {(source, lang, speaker): 1 for source in "xy" for lang in ("de", "en") for speaker in ("ann", "bob")}
    )


def test_a_limit_of_voices_keeps_all_clips_of_fewer_speakers() -> None:
    clips = [
        Clip(f"{who}-{number}", source="x", speaker=f"{who}") for who in range(50) for number in range(10)
    ]

    chosen = Counter(request.clip.speaker for request in requests(clips, ("speaker",), limit=40))

    assert len(chosen) == 5
    assert set(chosen.values()) == {CLIPS_A_SPEAKER}


def test_voices_are_limited_so_that_their_pairs_fit_into_memory() -> None:
    clips = [
        Clip(f"{who}-{number}", source=f"{who % 3}", speaker=f"{who}")
        for who in range(3000)
        for number in range(4)
    ]

    chosen = requests(clips, ("speaker",))

    assert MAX_SPEAKER_CLIPS * 0.9 <= len(chosen) <= MAX_SPEAKER_CLIPS


def test_a_small_source_leaves_its_share_of_the_voices_to_a_large_one() -> None:
    clips = [Clip(f"x{who}", source="x", speaker=f"{who}") for who in range(5000)]
    clips += [Clip(f"y{who}", source="y", speaker=f"{who}") for who in range(10)]

    chosen = Counter(request.clip.source for request in requests(clips, ("speaker",)))

    assert chosen == {"x": MAX_SPEAKER_CLIPS - 10, "y": 10}


def test_clips_shorter_than_the_cut_are_left_out_and_files_stay_together() -> None:
    clips = [
        Clip(name, start, length, lang="de") for start, length in ((0.0, 3.0), (5.0, 2.0)) for name in "ba"
    ]

    chosen = requests([*clips, Clip("c", lang="de")], cut_s=3.0)

    assert [request.clip.file for request in chosen] == ["a", "b", "c"]
    assert [request.clip.file for request in requests(clips)] == ["a", "a", "b", "b"]
