"""Asking the replicas for the speech in a recording, beside the models that answer questions about it."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from plain_handles import handle
from recordings import DATA

from config.settings import AudioLimits, IngressTunables
from deployments.listening import RemoteListener
from deployments.transport.clips import Clip, ModelHandle
from pipelines.audio.decoding import decode
from pipelines.samples import Samples, from_pcm16
from voxgraph.calls import Deadline
from voxgraph.errors import ModelUnavailable
from voxgraph.results import SAMPLE_RATE_HZ, AccentResult, Analysis, LanguageResult

VOICE = decode((DATA / "voice.wav").read_bytes(), AudioLimits())
ACCENT = AccentResult("us", 1.0, 1.0, {"us": 1.0})


@dataclass
class Replica:
    """Finds speech in half of every recording."""

    lengths: list[int] = field(default_factory=list)
    error: Exception | None = None

    async def speech_seconds(self, samples: Samples, goes_on: bool = False) -> float:
        assert goes_on == (len(samples) == 20 * SAMPLE_RATE_HZ)
        self.lengths.append(len(from_pcm16(samples)))
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        return len(samples) / SAMPLE_RATE_HZ / 2


async def accent(_clip: Clip, _deadline: Deadline) -> AccentResult:
    return ACCENT


def listener_of(replica: Replica) -> RemoteListener:
    return RemoteListener(ModelHandle(handle(replica)), IngressTunables)


async def test_a_result_gets_the_seconds_of_speech() -> None:
    replica = Replica()

    found = await listener_of(replica).beside(accent)(Clip(VOICE), Deadline.after(5))

    assert found.speech_s == pytest.approx(len(VOICE) / SAMPLE_RATE_HZ / 2)
    assert replica.lengths == [len(VOICE)]


async def test_all_answers_of_an_analysis_get_them() -> None:
    async def analysis(_clip: Clip, _deadline: Deadline) -> Analysis:
        return Analysis(accent=ACCENT)

    found = await listener_of(Replica()).beside(analysis)(Clip(VOICE), Deadline.after(5))

    assert found.accent.speech_s == found.speech_s == pytest.approx(len(VOICE) / SAMPLE_RATE_HZ / 2)


@pytest.mark.parametrize(("seconds", "warns"), [(4, True), (8, False)])
async def test_a_language_is_uncertain_by_the_speech_that_the_replicas_find(
    seconds: int, warns: bool
) -> None:
    """Half of the recording is speech; the model, which hears the level, warns of nothing."""

    async def language(_clip: Clip, _deadline: Deadline) -> LanguageResult:
        return LanguageResult("en", "English", 1.0, {"en": 1.0})

    clip = Clip(np.resize(VOICE, seconds * SAMPLE_RATE_HZ))
    found = await listener_of(Replica()).beside(language)(clip, Deadline.after(5))

    assert found.speech_s == pytest.approx(seconds / 2)
    assert (found.warning is not None) == warns


async def test_questions_about_one_recording_ask_once() -> None:
    replica = Replica()
    listener, deadline = listener_of(replica), Deadline.after(5)

    await asyncio.gather(*(listener.beside(accent)(Clip(VOICE), deadline) for _ in range(3)))
    await listener.beside(accent)(Clip(VOICE), deadline)

    assert len(replica.lengths) == 1


async def test_a_long_recording_is_asked_about_in_parts() -> None:
    replica = Replica()
    long = np.resize(VOICE, 200 * SAMPLE_RATE_HZ)

    found = await listener_of(replica).beside(accent)(Clip(long), Deadline.after(5))

    assert found.speech_s == pytest.approx(100)
    assert replica.lengths == [20 * SAMPLE_RATE_HZ] * 10


async def test_the_model_answers_even_if_nobody_can_tell_how_long_somebody_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voxgraph.calls.REPLACEMENT_TIMEOUT_S", 0.0)
    replica = Replica(error=ModelUnavailable("no checkpoint"))

    found = await listener_of(replica).beside(accent)(Clip(VOICE), Deadline.after(5))

    assert found == ACCENT
    assert found.speech_s is None
