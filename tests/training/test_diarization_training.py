"""The diarization recipe: labels of embeddings, and the PLDA estimated from them."""

from pathlib import Path

import numpy as np
from pyannote.audio.core.plda import PLDA

from pipelines.window_outputs import WindowOutputs
from training.conversations import Conversation
from training.diarization import estimate_plda, label_embeddings
from training.layouts.diarization import save_plda
from voxgraph.results import Turn

FRAMES = 100


def test_an_embedding_gets_the_label_of_the_speaker_that_overlaps_it_longest() -> None:
    turns = (Turn(0.0, 6.0, "ann"), Turn(5.5, 9.0, "bob"), Turn(9.0, 11.0, "ann"))
    speech = np.zeros((2, FRAMES, 3), bool)
    speech[0, :58, 1], speech[0, 58:90, 0] = True, True
    speech[1, :80, 2], speech[1, 80:95, 0] = True, True
    windows, speakers = np.nonzero(speech.any(axis=1))
    outputs = WindowOutputs(
        speech=np.packbits(speech, axis=1),
        frames=FRAMES,
        windows=windows,
        speakers=speakers,
        frames_alone=speech.sum(axis=1)[windows, speakers].astype(np.int32),
        embeddings=np.arange(4, dtype=np.float32)[:, None],
    )

    vectors, labels = label_embeddings([(outputs, Conversation(np.zeros(1, np.float32), turns))])

    # The voice with fifteen frames is too short to be used.
    assert vectors[:, 0].tolist() == [0.0, 1.0, 3.0]
    assert labels.tolist() == [1, 0, 0]


def test_the_estimated_plda_separates_new_voices(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def voices(count: int, each: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(count), each)
        spread = generator.normal(size=(len(labels), 256)) * np.linspace(0.2, 2.0, 256)
        return (generator.normal(size=(count, 256))[labels] + spread).astype(np.float32), labels

    save_plda(tmp_path, **estimate_plda(*voices(150, 20), 128))
    vectors, labels = voices(10, 10)
    plda = PLDA(tmp_path / "xvec_transform.npz", tmp_path / "plda.npz")

    def agreement(features: np.ndarray) -> float:
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        scores = unit @ unit.T - 2 * np.eye(len(unit))
        return float((labels[scores.argmax(axis=1)] == labels).mean())

    found = plda(vectors)
    assert found.shape == (100, 128)
    assert agreement(found * np.sqrt(plda.phi)) >= max(0.95, agreement(vectors))
