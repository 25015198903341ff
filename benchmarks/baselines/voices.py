"""Language and voice with SpeechBrain, as its model cards show."""

from pathlib import Path
from typing import Any

from speechbrain.inference import EncoderClassifier

from pipelines.routing import ASIAN_LANGUAGES
from voxgraph.options import ModelKey


class Voices:
    """Three classifiers, called one after the other."""

    def __init__(self, folder: Path) -> None:
        self._language = load(folder / ModelKey.LANGUAGE)
        self._voxceleb = load(folder / ModelKey.SPEAKER_VOXCELEB)
        self._cnceleb = load(folder / ModelKey.SPEAKER_CNCELEB)

    def language(self, path: str) -> dict[str, Any]:
        """Which language is spoken in a file."""
        # The cards of 1.0 read with torchaudio.load, which needs an installed ffmpeg now; this one does not.
        signal = self._language.load_audio(path)[None]
        _, score, _, label = self._language.classify_batch(signal)
        return {"language": label[0].split(": ")[0], "confidence": score.exp().item()}

    def embed(self, path: str) -> dict[str, Any]:
        """The voice in a file, by the encoder of the language spoken."""
        language = self.language(path)["language"]
        encoder = self._cnceleb if language in ASIAN_LANGUAGES else self._voxceleb
        signal = encoder.load_audio(path)[None]
        return {"language": language, "embedding": encoder.encode_batch(signal).squeeze().tolist()}


def load(folder: Path) -> EncoderClassifier:
    """A classifier from a local folder."""
    # hyperparams.yaml names the hub: without the override the weights would be fetched from there.
    return EncoderClassifier.from_hparams(
        source=str(folder),
        overrides={"pretrained_path": str(folder)},
        savedir=None,
        run_opts={"device": "cpu"},
    )
