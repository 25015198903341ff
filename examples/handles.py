"""Call the running graph from Python, without HTTP: ``python examples/handles.py recording.wav [...]``.

Works in any process of the same Ray cluster: a driver, a task, a ``ray job``. `make serve` prints the command
with the environment variables for the address and the authentication of the cluster.
"""

import sys
from pathlib import Path

import ray
from ray import serve

from config.settings import AudioLimits
from pipelines.audio import decode
from voxgraph.cluster import prepare_for_loopback
from voxgraph.options import SpeakerCount


def main(paths: list[str]) -> None:
    prepare_for_loopback()
    ray.init(address="auto", logging_level="warning", log_to_driver=False)
    voxgraph = serve.get_app_handle("voxgraph")
    for path in paths:
        waveform = ray.put(decode(Path(path).read_bytes(), AudioLimits()))

        language = voxgraph.detect_language.remote(waveform).result(timeout_s=60)
        print(f"{path}: {language.name} ({language.confidence:.0%})")

        speaker = voxgraph.embed.remote(waveform).result(timeout_s=60)
        print(f"  speaker: {len(speaker.embedding.vector)} dimensions, {speaker.embedding.model}")

        accent = voxgraph.identify_accent.remote(waveform, "ecapa").result(timeout_s=60)
        print(f"  accent: {accent.accent} ({accent.confidence:.0%})")

        verdict = voxgraph.detect_deepfake.remote(waveform).result(timeout_s=60)
        print(f"  deepfake: {verdict.ai_generated_chunks} of {len(verdict.chunks)} chunks")

        turns = voxgraph.diarize.remote(waveform, SpeakerCount(max_speakers=2)).result(timeout_s=600)
        print(f"  diarization: {len(turns.turns)} turns of {len(turns.speakers)} speakers")

        everything = voxgraph.analyze.remote(waveform, ("language", "speaker")).result(timeout_s=60)
        print(f"  analyze: {everything.language.language}, {everything.speaker.embedding.model}")


if __name__ == "__main__":
    main(sys.argv[1:])
