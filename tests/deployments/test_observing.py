"""What galleries are told of a recording: a voice in every space, and who speaks alone when."""

import numpy as np
import pytest
from fake_analyzer import FakeAnalyzer
from tone_voices import ANNA, BERT, voice_of, waveform_of

from deployments.observing import Observer, alone, spans_alone, speakers_heard
from voxgraph.results import DiarizationResult, Quality, Turn


def turns(*spans: tuple[float, float, str]) -> DiarizationResult:
    found = tuple(Turn(start, end, speaker) for start, end, speaker in spans)
    return DiarizationResult(found, found, tuple(sorted({turn.speaker for turn in found})))


@pytest.fixture
def analyzer() -> FakeAnalyzer:
    analyzer = FakeAnalyzer()
    analyzer.voice_of = voice_of
    return analyzer


async def test_a_recording_is_embedded_once_in_every_space(analyzer: FakeAnalyzer) -> None:
    analyzer.speech_s = 3.5
    quality = Quality(4.0, 0.02, 20.0, 7000, 44_100, 1, None)
    waveform = waveform_of(ANNA)

    observed = await Observer(analyzer).whole(waveform, quality)

    models = {sample.space.model for sample in observed.samples}
    assert models == {"speechbrain/spkrec-ecapa-voxceleb", "LanceaKing/spkrec-ecapa-cnceleb"}
    assert all((sample.vector == voice_of(waveform)).all() for sample in observed.samples)
    assert all(sample.space.dim == 192 and sample.space.revision == "abc" for sample in observed.samples)
    evidence = observed.evidence
    assert (evidence.speech_s, evidence.duration_s, evidence.clipped_ratio) == (3.5, 4.0, 0.02)
    assert (evidence.spoof_verdict, evidence.spoof_score) == (None, None)
    assert "deepfake" not in (analyzer.tasks or ())


async def test_the_deepfake_model_is_asked_only_if_a_gallery_wants_it(analyzer: FakeAnalyzer) -> None:
    observed = await Observer(analyzer).whole(waveform_of(ANNA), spoof=True)

    assert observed.evidence.spoof_verdict == "ai_generated"
    assert observed.evidence.spoof_score == pytest.approx(0.6)


async def test_each_diarized_speaker_is_heard_alone(analyzer: FakeAnalyzer) -> None:
    waveform = waveform_of(ANNA, BERT)
    found = turns((0.0, 4.2, "SPEAKER_00"), (4.0, 8.0, "SPEAKER_01"), (4.1, 4.3, "SPEAKER_02"))
    voices = dict.fromkeys(found.speakers, waveform)

    observed = await Observer(analyzer).speakers(voices, found)

    assert [*observed] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    assert (observed["SPEAKER_00"].samples[0].vector == voice_of(waveform_of(ANNA))).all()
    assert (observed["SPEAKER_01"].samples[0].vector == voice_of(waveform_of(BERT))).all()
    assert observed["SPEAKER_00"].evidence.speech_s == pytest.approx(4.0)
    assert observed["SPEAKER_01"].evidence.speech_s == pytest.approx(3.7)
    assert observed["SPEAKER_02"].samples == ()
    assert [each.label for each in observed.values()] == [*observed]


def test_nobody_else_talks_where_a_speaker_is_alone() -> None:
    found = turns((0.0, 5.0, "A"), (1.0, 2.0, "B"), (4.0, 6.0, "B"), (2.0, 3.0, "A"))

    assert spans_alone(found.turns) == {"A": [(0.0, 1.0), (2.0, 4.0)], "B": [(5.0, 6.0)]}


def test_the_longest_spans_are_taken_in_their_order() -> None:
    waveform = np.arange(16_000 * 100, dtype=np.float32)

    taken = alone(waveform, [(0.0, 0.2), (1.0, 21.0), (30.0, 90.0)])

    assert taken.tolist() == waveform[30 * 16_000 : 90 * 16_000].tolist()
    assert alone(waveform, [(3.0, 3.5), (1.0, 2.0)]).tolist() == [
        *waveform[16_000:32_000], *waveform[48_000:56_000]
    ]  # fmt: skip
    assert len(alone(waveform, [(0.0, 0.2)])) == 0


def test_a_cough_is_no_second_speaker() -> None:
    assert speakers_heard(turns((0.0, 9.0, "A"), (3.0, 3.6, "B"))) == 1
    assert speakers_heard(turns((0.0, 9.0, "A"), (3.0, 5.0, "B"))) == 2
    assert speakers_heard(turns((0.0, 0.4, "A"))) == 1
    assert speakers_heard(turns()) == 0
