"""Test that a quiet copy of another channel is found, and that two people who talk are not copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import samples

from config.settings import CheckpointSource, EngineOptions
from pipelines.audio.bleed import BLOCK, copied_blocks, silenced
from pipelines.checkpoints import locate
from pipelines.diarization.campplus_diarizer import CamPlusPlusDiarizer
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

HER = samples("accent_us_f3.flac")[: 8 * BLOCK]
HIM = samples("accent_us_m3.flac")[: 8 * BLOCK]
"""Four seconds of two people."""
SILENCE = np.zeros(8 * BLOCK, np.float32)


def attenuated(waveform: Waveform, decibels: float, delay: int = 0, noise: float = 0.0) -> Waveform:
    """Return a copy that is quieter, late, and has noise of its own, with a level relative to the copy's."""
    copy = 10 ** (-decibels / 20) * np.roll(waveform, delay)
    level = noise * np.sqrt(np.mean(copy**2))
    return (copy + level * np.random.default_rng(0).normal(size=len(copy))).astype(np.float32)


@given(st.floats(6.0, 50.0), st.integers(0, 700), st.floats(0.0, 0.5), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_quiet_copy_is_found_in_the_quiet_channel_alone(
    decibels: float, delay: int, noise: float, is_first: bool
) -> None:
    channels = [HER, attenuated(HER, decibels, delay, noise)]

    copied = copied_blocks(channels[::-1] if is_first else channels)

    original, copy = copied[::-1] if is_first else copied
    assert not original.any()
    assert copy.mean() >= 0.75


@pytest.mark.parametrize("decibels", [0.0, 6.0, 20.0, 40.0])
def test_two_people_who_talk_at_once_are_no_copies(decibels: float) -> None:
    assert not copied_blocks([HER, attenuated(HIM, decibels)]).any()


def test_somebody_who_talks_over_a_copy_is_kept() -> None:
    assert not copied_blocks([HER, HIM + attenuated(HER, 20.0)]).any()


def test_channels_of_one_level_are_no_copies() -> None:
    assert not copied_blocks([HER, HER]).any()
    assert not copied_blocks([HER, -HER]).any()


def test_silence_and_a_single_channel_have_no_copies() -> None:
    assert not copied_blocks([HER, SILENCE, SILENCE]).any()
    assert copied_blocks([HER]).shape == (1, 8)


def test_copies_of_a_third_channel_and_an_unfinished_block_are_found() -> None:
    cut = 5 * BLOCK + 2_000
    channels = [HER[:cut], HIM[:cut], attenuated(HIM, 20.0)[:cut]]

    copied = copied_blocks(channels)

    assert copied.shape == (3, 6)
    assert not copied[:2].any()
    assert copied[2].all()


def test_only_copied_blocks_are_silenced_and_the_recording_is_left_as_it_is() -> None:
    blocks = np.array([False, True] * 4)
    before = HER.copy()

    kept = silenced(HER, blocks).reshape(8, BLOCK)

    np.testing.assert_array_equal(HER, before)
    np.testing.assert_array_equal(kept[::2], HER.reshape(8, BLOCK)[::2])
    assert not kept[1::2].any()
    assert silenced(HER, np.zeros(8, bool)) is HER


def test_a_copy_20_db_below_makes_no_turns() -> None:
    checkpoint = locate(ModelKey.DIARIZATION_31, CheckpointSource(source="starter"))
    diarizer = CamPlusPlusDiarizer(checkpoint, "cpu", EngineOptions(engine="torch"))
    # She talks for 4 s, then he does; each hears the other.
    her, him = np.concatenate([HER, SILENCE]), np.concatenate([SILENCE, HIM])
    channels = [her + attenuated(him, 20.0), him + attenuated(her, 20.0)]
    middle_s = len(HER) / SAMPLE_RATE_HZ

    def turns(channel: Waveform) -> list[tuple[float, float]]:
        found = diarizer(channel, SpeakerCount(num_speakers=1)).turns
        return [(turn.start_s, turn.end_s) for turn in found]

    copied = copied_blocks(channels)
    apart = [turns(silenced(*pair)) for pair in zip(channels, copied, strict=True)]

    assert max(end for _, end in turns(channels[0])) > middle_s + 2.0
    assert max(end for _, end in apart[0]) < middle_s + 0.5
    assert min(start for start, _ in apart[1]) > middle_s - 0.5
    assert all(sum(end - start for start, end in spans) > 2.5 for spans in apart)
