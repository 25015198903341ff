"""Clients written as the documentation of the five old services showed, with requests and pickle."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import requests
from launched import Launched
from recordings import wav


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    path.write_bytes(wav("accent_us_m3.flac"))
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.wav"
    path.write_bytes(wav("accent_us_f3.flac"))
    return path


def test_accent_recognition(service: Launched, voice: Path) -> None:
    with open(voice, "rb") as file:
        response = requests.post(f"{service.url}/identify", files={"file": file}, timeout=60)

    assert response.status_code == 200
    print(f"US confidence: {response.json()['us_confidence']:.2f}%")


def test_accent_feedback(service: Launched, voice: Path) -> None:
    with open(voice, "rb") as file:
        response = requests.post(f"{service.url}/classify-us-accent", files={"file": file}, timeout=60)

    assert 0 <= response.json()["us_confidence"] <= 100


def test_speakers_enrolled_with_the_pickled_mean_of_embeddings(
    service: Launched, voice: Path, other: Path, tmp_path: Path
) -> None:
    embeddings = []
    for name in ("accent_us_m3.flac", "accent_england_m3.flac", "accent_scotland_m3.flac"):
        files = {"file": (name, wav(name), "audio/wav")}
        answer = requests.post(f"{service.url}/embedding", files=files, timeout=60).json()
        embeddings.append(np.array(answer["embedding"]))
    enrolled = tmp_path / "speaker.pkl"
    with open(enrolled, "wb") as sink:
        pickle.dump(np.mean(embeddings, axis=0), sink)

    scores = []
    for path in (voice, other):
        with open(path, "rb") as audio, open(enrolled, "rb") as embedding:
            response = requests.post(
                f"{service.url}/compare_embedding",
                files={"audio": audio, "embedding": embedding},
                data={"threshold": 0.25},
                timeout=60,
            )
        assert response.status_code == 200, response.text
        scores.append(response.json()["similarity_score"])

    assert scores[0] > scores[1]
    assert scores[0] > 0.25


def test_diarization_and_comparison(service: Launched, voice: Path, other: Path) -> None:
    with open(voice, "rb") as file:
        answer = requests.post(
            f"{service.url}/diarize", files={"file": file}, data={"num_speakers": 1}, timeout=60
        ).json()
    for segment in answer["diarization_results"]:
        print(f"{segment['start']:.2f} - {segment['end']:.2f}: {segment['speaker']}")

    with open(voice, "rb") as file1, open(other, "rb") as file2:
        answer = requests.post(
            f"{service.url}/compare", files={"file1": file1, "file2": file2}, timeout=60
        ).json()
    assert set(answer) >= {"similarity_score", "same_speaker", "threshold"}


def test_deepfake(service: Launched, voice: Path) -> None:
    with open(voice, "rb") as file:
        answer = requests.post(
            f"{service.url}/audio/analyze-audio?chunk_duration=5.0&overlap=0.5",
            files={"file": ("voice.wav", file, "audio/wav")},
            timeout=60,
        ).json()

    for chunk in answer["chunks"]:
        assert chunk["confidence"] == pytest.approx(max(chunk["class_probabilities"].values()))


def test_voice_matching(service: Launched, voice: Path, other: Path) -> None:
    embeddings = {}
    for name, path in (("user", voice), ("other", other)):
        with open(path, "rb") as audio:
            answer = requests.post(
                f"{service.url}/extract-embedding", files={"audio": audio}, timeout=60
            ).json()
        assert answer["success"]
        embeddings[name] = answer["embedding"]

    match = requests.post(
        f"{service.url}/find-match",
        json={
            "user_embedding": embeddings["user"],
            "stored_embeddings": [
                {"id": name, "embedding": vector, "metadata": {"name": name}}
                for name, vector in embeddings.items()
            ],
            "top_n": 5,
        },
        timeout=60,
    ).json()
    pair = requests.post(
        f"{service.url}/compare-voices",
        json={"embedding1": embeddings["user"], "embedding2": embeddings["other"]},
        timeout=60,
    ).json()

    assert match["best_match"]["id"] == "user"
    assert match["top_matches"][1]["similarity"] == pytest.approx(pair["similarity"], abs=1e-5)
