"""Time centroid linkage of the voices of a long recording: ``python -m benchmarks.linkage``.

Ours and scipy's, which pyannote uses and which keeps the distances of all pairs; each in a process of its
own, on one thread.
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.diarization_memory import SPEAKERS, SPREAD, Peak
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish

DIMENSION, THRESHOLD = 256, 0.6
"""The voices of WeSpeaker's network; the distance that community-1 clusters up to."""
TITLES = ("voices", "scipy s", "ours s", "scipy / ours", "scipy MB", "ours MB", "clusters")


def voices_of(count: int) -> np.ndarray:
    """Unit vectors, (count, dimension), float32."""
    generator = np.random.default_rng(count)
    people = generator.normal(size=(SPEAKERS, DIMENSION))
    heard = people[generator.integers(SPEAKERS, size=count)] + SPREAD * generator.normal(
        size=(count, DIMENSION)
    )
    unit: np.ndarray = (heard / np.linalg.norm(heard, axis=1, keepdims=True)).astype(np.float32)
    return unit


def measure(ours: bool, count: int) -> tuple[float, float, int]:
    """Seconds, the most memory beyond that of the voices (10^6 bytes), and the clusters found."""
    import psutil
    from scipy.cluster import hierarchy

    from pipelines.diarization.linkage import centroid_linkage

    voices = voices_of(count)
    before = psutil.Process().memory_info().rss / 1e6
    started = time.perf_counter()
    with Peak() as peak:
        tree = centroid_linkage(voices) if ours else hierarchy.linkage(voices, "centroid", "euclidean")
    seconds = time.perf_counter() - started
    clusters = hierarchy.fcluster(tree, THRESHOLD, "distance").max()
    return seconds, max(0.0, peak.mb - before), int(clusters)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linkage", description=__doc__)
    parser.add_argument("voices", type=int, nargs="*", default=[2_000, 5_000, 10_000, 20_000])
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for count in options.voices:
            scipys, ours = (pool.submit(measure, way, count).result() for way in (False, True))
            assert scipys[2] == ours[2]
            rows.append([
                str(count), f"{scipys[0]:.1f}", f"{ours[0]:.1f}", f"{scipys[0] / ours[0]:.1f}",
                f"{scipys[1]:.0f}", f"{ours[1]:.0f}", str(ours[2]),
            ])  # fmt: skip
            print("\t".join(rows[-1]), flush=True)
    publish("Centroid linkage", f"{cpu_name()}; one thread.\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
