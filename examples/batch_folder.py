"""Ray Data over a folder of recordings: language and voice of each to Parquet, with no service running.

    python examples/batch_folder.py /recordings /answers --checkpoints hub --workers 4 --gpus 0.25

Needs the extra ``jobs``. The pipelines are those of the graph, so the answers are too. A recording that
cannot be read is a row with an ``error``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import ray

from config.settings import DEMO, AudioLimits, CheckpointSource
from deployments.replica.model_replica import assigned_device
from pipelines.audio import decode
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.device import cuda_is_available
from pipelines.language import LanguageIdentifier
from pipelines.routing import ENCODERS, encoder_for
from pipelines.speaker import SpeakerEncoder
from voxgraph.errors import VoxError
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

BATCH = 16
"""Clips that a worker holds at a time."""
ROWS = pa.schema(
    {
        "path": pa.string(),
        "seconds": pa.float64(),
        "language": pa.string(),
        "confidence": pa.float64(),
        "embedding": pa.list_(pa.float32()),
        "model": pa.string(),
        "revision": pa.string(),
        "error": pa.string(),
    }
)


def decoded(row: dict[str, Any]) -> dict[str, Any]:
    """The recording of a file as samples; none of them and the error where it is no recording."""
    try:
        return {"path": row["path"], "waveform": decode(row["bytes"], AudioLimits()), "error": ""}
    except VoxError as error:
        return {"path": row["path"], "waveform": np.zeros(0, np.float32), "error": error.detail}


class LanguageAndVoice:
    """The pipelines, loaded once per worker.

    Args:
        source: ``hub``, ``demo`` or a folder with a checkpoint per model, named as its key.
    """

    def __init__(self, source: str) -> None:
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        device = assigned_device(gpus, cuda_is_available, allow_cpu_fallback=False)
        self._language = LanguageIdentifier(checkpoint(ModelKey.LANGUAGE, source), device)
        self._encoders = {key: SpeakerEncoder(checkpoint(key, source), device) for key in ENCODERS}

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> pa.Table:
        """A row of `ROWS` for each clip."""
        paths, clips, errors = batch["path"], list(batch["waveform"]), list(batch["error"])
        readable = [index for index, error in enumerate(errors) if not error]
        answers = dict(zip(readable, self._answers([clips[index] for index in readable]), strict=True))
        rows = [
            {"path": path, "seconds": len(clip) / SAMPLE_RATE_HZ, "error": error or None}
            | answers.get(index, {})
            for index, (path, clip, error) in enumerate(zip(paths, clips, errors, strict=True))
        ]
        return pa.Table.from_pylist(rows, ROWS)

    def _answers(self, clips: Sequence[Waveform]) -> list[dict[str, Any]]:
        """Language and voice of each clip; each encoder embeds the clips of its languages together."""
        if not clips:
            return []
        languages = self._language(clips)
        keys = [encoder_for(result.language) for result in languages]
        voices: dict[int, Any] = {}
        for key in set(keys):
            mine = [index for index, other in enumerate(keys) if other == key]
            voices |= zip(mine, self._encoders[key]([clips[index] for index in mine]), strict=True)
        return [
            {
                "language": result.language,
                "confidence": result.confidence,
                "embedding": voices[index].vector,
                "model": voices[index].model,
                "revision": voices[index].revision,
            }
            for index, result in enumerate(languages)
        ]


def checkpoint(key: ModelKey, source: str) -> LocatedCheckpoint:
    return locate(
        key, CheckpointSource(source=str(Path(source) / key) if Path(source).is_absolute() else source)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Language and voice of a folder of recordings, as Parquet.")
    parser.add_argument("folder", help="recordings: a folder or a URI that every node can read")
    parser.add_argument("answers", help="folder or URI of the Parquet files")
    parser.add_argument("--checkpoints", default=DEMO, help="demo, hub, or a folder with one per model")
    parser.add_argument("--workers", type=int, default=1, help="processes that hold the models")
    parser.add_argument("--cpus", type=float, default=1.0, help="cores of each, and of each that decodes")
    parser.add_argument("--gpus", type=float, default=0.0, help="share of a GPU of each")
    options = parser.parse_args()
    # In a ray job the cluster that it was submitted to, else one of its own.
    ray.init(include_dashboard=False, logging_level="warning")
    cores = {"num_cpus": options.cpus}
    (
        ray.data.read_binary_files(options.folder, include_paths=True, ray_remote_args=cores)
        .map(decoded, **cores)
        .map_batches(
            LanguageAndVoice,
            fn_constructor_args=(options.checkpoints,),
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=options.workers),
            num_gpus=options.gpus,
            **cores,
        )
        .write_parquet(options.answers, ray_remote_args=cores)
    )


if __name__ == "__main__":
    main()
