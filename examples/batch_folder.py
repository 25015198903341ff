"""Write language and speaker embedding of a folder of recordings to Parquet with Ray Data, without a service.

    python examples/batch_folder.py /recordings /answers --checkpoints hub --workers 4 --gpus 0.25

Needs the extra ``jobs``. The pipelines, and therefore the results, are those of the graph. A file that cannot
be decoded becomes a row with an ``error``.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import ray

from config.settings import STARTER, AudioLimits, CheckpointSource, EngineOptions
from deployments.loading import load_pipeline
from deployments.replica.model_replica import Pipeline, assigned_device
from pipelines.audio import decode
from pipelines.checkpoints import locate
from pipelines.device import cuda_is_available
from pipelines.routing import ENCODERS, encoder_of
from voxgraph.errors import VoxError
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

BATCH = 16
"""Clips per call of a worker."""
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


def decode_row(row: dict[str, Any]) -> dict[str, Any]:
    """Decode a file into a waveform; if that fails, return an empty waveform and the error."""
    try:
        return {"path": row["path"], "waveform": decode(row["bytes"], AudioLimits()), "error": ""}
    except VoxError as error:
        return {"path": row["path"], "waveform": np.zeros(0, np.float32), "error": error.detail}


class LanguageAndVoice:
    """Identify language and speaker of batches of clips; the pipelines are loaded once per worker.

    Args:
        source: ``hub``, ``starter`` or an absolute path of a folder with a subfolder per model key.
    """

    def __init__(self, source: str) -> None:
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        device = assigned_device(gpus, cuda_is_available, allow_cpu_fallback=False)
        self._language = pipeline(ModelKey.LANGUAGE, source, device)
        self._encoders = {key: pipeline(key, source, device) for key in ENCODERS}

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> pa.Table:
        """Return a row of `ROWS` for each clip."""
        paths, clips, errors = batch["path"], list(batch["waveform"]), list(batch["error"])
        readable = [index for index, error in enumerate(errors) if not error]
        answers = dict(zip(readable, self._answers([clips[index] for index in readable]), strict=True))
        rows = [
            {"path": path, "seconds": len(clip) / SAMPLE_RATE_HZ, "error": error or None}
            | answers.get(index, {})
            for index, (path, clip, error) in enumerate(zip(paths, clips, errors, strict=True))
        ]
        return pa.Table.from_pylist(rows, ROWS)

    def _answers(self, clips: list[Waveform]) -> list[dict[str, Any]]:
        """Return language and embedding of each clip; each encoder embeds its clips as one batch."""
        if not clips:
            return []
        languages = self._language(clips)
        keys = [encoder_of(result) for result in languages]
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


def pipeline(key: ModelKey, source: str, device: str) -> Pipeline[Waveform, Any]:
    """Load a model from the source."""
    location = str(Path(source) / key) if Path(source).is_absolute() else source
    return load_pipeline(key, locate(key, CheckpointSource(source=location)), device, EngineOptions())


def main() -> None:
    parser = argparse.ArgumentParser(description="Language and speaker embedding of recordings, as Parquet.")
    parser.add_argument("folder", help="folder or URI of recordings that every node can read")
    parser.add_argument("answers", help="folder or URI of the Parquet files")
    parser.add_argument(
        "--checkpoints", default=STARTER, help="starter, hub, or a path with a folder per model"
    )
    parser.add_argument("--workers", type=int, default=1, help="number of model processes")
    parser.add_argument("--cpus", type=float, default=1.0, help="cores per model process or decoding task")
    parser.add_argument("--gpus", type=float, default=0.0, help="share of a GPU per model process")
    options = parser.parse_args()
    # Uses the cluster of the ray job, or starts a local one.
    ray.init(include_dashboard=False, logging_level="warning")
    cores = {"num_cpus": options.cpus}
    (
        ray.data.read_binary_files(options.folder, include_paths=True, ray_remote_args=cores)
        .map(decode_row, **cores)
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
