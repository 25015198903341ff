"""``python -m training.samples``: write the clips of ``tests/data``, by voices outside all training sets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from training.conversations import by_speaker, simulate
from training.corpus import Clip
from training.texts import DIALECTS
from training.voices import Voice, speak
from training.wav2vec2 import griffin_lim
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

FOLDER = Path("tests/data")
RATE = 160
SEED = 7
CONVERSATION_S = 40.0

SENTENCES = {
    "en": "The museum by the river opens at nine, and on Sundays it is free for all children of the town.",
    "zh": "jin1 tian1 xia4 wu3 wo3 men5 yao4 qu4 gong1 yuan2 san4 bu4, ran2 hou4 zai4 yi1 qi3 he1 cha2",
    "ja": "きょうの ごごは こうえんを さんぽして それから いっしょに おちゃを のみます",
    "ko": "오늘 오후에 공원에서 산책을 하고 나서 함께 따뜻한 차를 마실 거예요",
    "vi": "Chiều nay chúng tôi sẽ đi dạo trong công viên rồi cùng nhau uống trà nóng ở nhà bà",
    "es": "Esta tarde vamos a pasear por el parque y después tomaremos un té caliente en casa de la abuela",
    "fr": "Cet après-midi nous allons nous promener dans le parc et ensuite boire un thé chez ma grand-mère",
    "de": "Heute Nachmittag gehen wir im Park spazieren und trinken danach bei der Großmutter heißen Tee",
    "ru": "Сегодня после обеда мы пойдём гулять в парк, а потом вместе выпьем горячего чая у бабушки",  # noqa: RUF001
    "hi": "आज दोपहर हम बगीचे में घूमने जाएँगे और फिर दादी के घर गरम चाय पीएँगे",
}
"""One sentence per language in the spelling that espeak-ng reads; zh in pinyin."""
ENGLISH = (
    "My brother drives a blue car to work and parks it behind the old water tower every morning.",
    "Nobody can remember when the harbour was last frozen, but the fishermen say it was a long time ago.",
)
ACCENTS = {"us": "en-us", "england": "en-gb-x-rp", "scotland": "en-gb-scotland"}
DEEP, HIGH = Voice("espeak-ng", "m3", 40, 1.05), Voice("espeak-ng", "f3", 62, 0.93)


def main() -> None:
    """Write every clip and ``labels.json``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    labels: dict[str, dict[str, Any]] = {}
    for number, (language, text) in enumerate(SENTENCES.items()):
        voice = (DEEP, HIGH)[number % 2]
        name = f"{language}_{voice.name}.flac"
        labels[name] = {"language": language, "speaker": voice.name, "text": text}
        write_clip(name, speak(voice, DIALECTS[language], text, RATE))
    for accent, dialect in ACCENTS.items():
        for voice, text in zip((DEEP, HIGH), ENGLISH, strict=True):
            name = f"accent_{accent}_{voice.name}.flac"
            labels[name] = {"language": "en", "accent": accent, "speaker": voice.name, "text": text}
            write_clip(name, speak(voice, dialect, text, RATE))
    labels["spliced.flac"] = write_spliced()
    labels["conversation.flac"] = write_conversation()
    (FOLDER / "labels.json").write_text(json.dumps(labels, indent=1, ensure_ascii=False) + "\n")


def write_spliced() -> dict[str, Any]:
    """Write speech with a middle part resynthesized by Griffin-Lim; return its labels."""
    generator = np.random.default_rng(SEED)
    before, inside, after = (
        np.concatenate([speak(DEEP, DIALECTS[language], SENTENCES[language], RATE) for language in languages])
        for languages in (("en", "es"), ("de", "fr"), ("ru", "en"))
    )
    write_clip("spliced.flac", np.concatenate([before, griffin_lim(inside, generator), after]))
    start = len(before) / SAMPLE_RATE_HZ
    end = start + len(inside) / SAMPLE_RATE_HZ
    return {"speaker": DEEP.name, "vocoded": [round(start, 2), round(end, 2)]}


def write_conversation() -> dict[str, Any]:
    """Write a simulated conversation and its turns as RTTM; return its labels."""
    texts = [SENTENCES["en"], *ENGLISH]
    clips = [
        Clip(speak(voice, "en-us", text, RATE), voice.name, "en", "us")
        for voice in (DEEP, HIGH)
        for text in texts
    ]
    made = simulate(by_speaker(clips), CONVERSATION_S, np.random.default_rng(SEED), augmented=False)
    write_clip("conversation.flac", made.waveform)
    head, tail = "SPEAKER conversation 1", "<NA> <NA>"
    lines = [
        f"{head} {turn.start_s:.3f} {turn.end_s - turn.start_s:.3f} {tail} {turn.speaker} {tail}"
        for turn in made.turns
    ]
    (FOLDER / "conversation.rttm").write_text("\n".join(lines) + "\n")
    return {"speakers": len({turn.speaker for turn in made.turns})}


def write_clip(name: str, waveform: Waveform) -> None:
    """Write a clip as 16-bit FLAC."""
    soundfile.write(FOLDER / name, waveform, SAMPLE_RATE_HZ, subtype="PCM_16")


if __name__ == "__main__":
    main()
