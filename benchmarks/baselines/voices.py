"""Language identification and speaker embeddings with SpeechBrain, as its model cards show."""

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
        """Identify the language spoken in a file."""
        # The model cards of 1.0 use torchaudio.load, which needs an installed ffmpeg; load_audio does not.
        signal = self._language.load_audio(path)[None]
        _, score, _, label = self._language.classify_batch(signal)
        return {"language": label[0].split(": ")[0], "confidence": score.exp().item()}

    def embed(self, path: str) -> dict[str, Any]:
        """Embed the speaker of a file with the encoder for the detected language."""
        language = self.language(path)["language"]
        encoder = self._cnceleb if language in ASIAN_LANGUAGES else self._voxceleb
        signal = encoder.load_audio(path)[None]
        return {"language": language, "embedding": encoder.encode_batch(signal).squeeze().tolist()}


def load(folder: Path) -> EncoderClassifier:
    """Load a classifier from a local folder."""
    # hyperparams.yaml names a hub repository; without the override the weights would be downloaded.
    return EncoderClassifier.from_hparams(
        source=str(folder),
        overrides={"pretrained_path": str(folder)},
        savedir=None,
        run_opts={"device": "cpu"},
    )
