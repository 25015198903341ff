"""Choose the clips that each question is asked about."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

from evaluation.manifest import REAL, Clip
from evaluation.recordings import Request
from voxgraph.options import TASKS, Task

CLIPS_A_SPEAKER = 8
"""Clips of each speaker that are compared, the first ones of the manifest."""
MAX_SPEAKER_CLIPS = 2000
"""Maximum number of clips whose voices are compared: 2 million pairs, a minute or two for all intervals."""


def wants_language(clip: Clip) -> bool:
    """Whether the language of a clip is known."""
    return bool(clip.lang)


def wants_speaker(clip: Clip) -> bool:
    """Whether the speaker of a clip is known and a person."""
    return bool(clip.speaker) and clip.label in ("", REAL)


def wants_accent(clip: Clip) -> bool:
    """Whether a clip is English of a person of whom it is known whether the accent is American."""
    return clip.us is not None and clip.lang in ("", "en") and clip.label in ("", REAL)


def wants_deepfake(clip: Clip) -> bool:
    """Whether it is known if a clip is real."""
    return bool(clip.label)


WANTS: dict[Task, Callable[[Clip], bool]] = {
    "language": wants_language,
    "speaker": wants_speaker,
    "accent": wants_accent,
    "deepfake": wants_deepfake,
}
"""Questions about clips, and whether a clip has the labels for them. Diarization has conversations."""

LABELS: Mapping[Task, str] = {
    "language": "lang",
    "speaker": "speaker",
    "accent": "us",
    "deepfake": "label",
    "diarization": "an RTTM file beside a recording",
}
"""What a question needs; the names are columns of the manifest."""


def requests(
    clips: Sequence[Clip], only: Sequence[Task] = TASKS, limit: int | None = None, cut_s: float | None = None
) -> list[Request]:
    """Return the clips to ask about, each with its tasks, sorted by file.

    Args:
        clips: All clips of the manifest.
        only: The questions to ask; those for which there are no labels are left out.
        limit: Maximum number of clips of one source for one question, spread over its speakers and classes.
            None: all; of each speaker, however, at most `CLIPS_A_SPEAKER` are compared.
        cut_s: Leave out clips that are known to be shorter than this, in seconds.
    """
    tasks: dict[Clip, list[Task]] = defaultdict(list)
    long_enough = [clip for clip in clips if not cut_s or clip.duration_s is None or clip.duration_s >= cut_s]
    for task, wants in WANTS.items():
        if task not in only:
            continue
        wanted = [clip for clip in long_enough if wants(clip)]
        chosen = speakers_clips(wanted, limit) if task == "speaker" else spread(wanted, limit)
        for clip in chosen:
            tasks[clip].append(task)
    ordered = sorted(tasks.items(), key=lambda item: (item[0].file, item[0].start_s))
    return [Request(clip, tuple(asked)) for clip, asked in ordered]


def spread(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    """Return at most `limit` clips of each source: first one of each class and speaker, then the second."""
    if limit is None:
        return list(clips)
    chosen: list[Clip] = []
    for of_source in _grouped(clips, lambda clip: clip.source):
        classes = _grouped(of_source, lambda clip: (clip.lang, clip.us, clip.label, clip.generator))
        in_turn = _in_turn([_in_turn(_grouped(members, lambda clip: clip.speaker)) for members in classes])
        chosen += in_turn[:limit]
    return chosen


def speakers_clips(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    """Return the first clips of each speaker; with a limit, of speakers evenly spread over each source."""
    sources = [
        [of_one[:CLIPS_A_SPEAKER] for of_one in _grouped(of_source, lambda clip: clip.speaker)]
        for of_source in _grouped(clips, lambda clip: clip.source)
    ]
    chosen: list[Clip] = []
    # The smallest first, so that what a source does not need is left for larger ones.
    for left, speakers in zip(range(len(sources), 0, -1), sorted(sources, key=_total), strict=True):
        share = (MAX_SPEAKER_CLIPS - len(chosen)) // left
        kept = _fewer_speakers(speakers, min(limit or share, share))
        chosen += [clip for of_one in kept for clip in of_one]
    return chosen


def _fewer_speakers(speakers: list[list[Clip]], most: int) -> list[list[Clip]]:
    """Leave out speakers, evenly spread, until at most `most` clips are left, but never the last two."""
    while (total := _total(speakers)) > most and len(speakers) > 2:
        kept = max(2, min(len(speakers) - 1, len(speakers) * most // total))
        speakers = [speakers[number * len(speakers) // kept] for number in range(kept)]
    return speakers


def _total(lists: Sequence[Sequence[Clip]]) -> int:
    return sum(map(len, lists))


def _grouped(clips: Sequence[Clip], key: Callable[[Clip], Hashable]) -> list[list[Clip]]:
    """Return the clips of each value of `key`, in the order of their first clips."""
    found: dict[Hashable, list[Clip]] = defaultdict(list)
    for clip in clips:
        found[key(clip)].append(clip)
    return list(found.values())


def _in_turn(lists: Sequence[Sequence[Clip]]) -> list[Clip]:
    """Merge lists: the first of each, then the second of each, and so on."""
    longest = max(map(len, lists), default=0)
    return [members[index] for index in range(longest) for members in lists if index < len(members)]
