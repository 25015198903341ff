"""Time centroid linkage of the speaker embeddings of a long recording: ``python -m benchmarks.linkage``.

Compares our implementation with scipy's, which pyannote uses and which stores the distances of all pairs.
Each measurement runs in its own process on one thread.
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.diarization_memory import NOISE_STD, SPEAKERS, PeakMemory
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish

DIMENSION, THRESHOLD = 256, 0.6
"""Size of WeSpeaker's embeddings, and the clustering threshold (a distance) of community-1."""
TITLES = ("voices", "scipy s", "ours s", "scipy / ours", "scipy MB", "ours MB", "clusters")


def random_embeddings(count: int) -> np.ndarray:
    """Return the embeddings of simulated speakers: unit vectors, (count, dimension), float32."""
    generator = np.random.default_rng(count)
    centroids = generator.normal(size=(SPEAKERS, DIMENSION))
    speakers = generator.integers(SPEAKERS, size=count)
    embeddings = centroids[speakers] + NOISE_STD * generator.normal(size=(count, DIMENSION))
    unit: np.ndarray = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    return unit


def measure(ours: bool, count: int) -> tuple[float, float, int]:
    """Cluster once; return seconds, peak memory beyond the embeddings (10^6 bytes) and clusters."""
    import psutil
    from scipy.cluster import hierarchy

    from pipelines.diarization.linkage import centroid_linkage

    embeddings = random_embeddings(count)
    before = psutil.Process().memory_info().rss / 1e6
    started = time.perf_counter()
    with PeakMemory() as peak:
        tree = (
            centroid_linkage(embeddings) if ours else hierarchy.linkage(embeddings, "centroid", "euclidean")
        )
    seconds = time.perf_counter() - started
    clusters = hierarchy.fcluster(tree, THRESHOLD, "distance").max()
    return seconds, max(0.0, peak.mb - before), int(clusters)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage", description=__doc__)
    parser.add_argument("voices", type=int, nargs="*", default=[2_000, 5_000, 10_000, 20_000])
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for count in options.voices:
            scipys, ours = (pool.submit(measure, is_ours, count).result() for is_ours in (False, True))
            assert scipys[2] == ours[2]
            rows.append([
                str(count), f"{scipys[0]:.1f}", f"{ours[0]:.1f}", f"{scipys[0] / ours[0]:.1f}",
                f"{scipys[1]:.0f}", f"{ours[1]:.0f}", str(ours[2]),
            ])  # fmt: skip
            print("\t".join(rows[-1]), flush=True)
    publish("Centroid linkage", f"{cpu_name()}; one thread.\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
