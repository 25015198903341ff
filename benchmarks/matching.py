"""Time the search of a gallery that is sent as JSON: ``python -m benchmarks.matching``.

*ours* is all that ``/find-match`` does once the body is in memory; *naive* is ``json.loads`` and
``voxgraph.similarity.cosine`` for each pair. Times are CPU times; both use one thread, so on an idle core
they equal wall-clock times. Each measurement runs in its own process.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deployments.api.compat import voices
from deployments.api.compat.matching import cosines
from voxgraph.ranking import largest
from voxgraph.results import Embedding
from voxgraph.similarity import EMBEDDING_DIM, cosine

TOP = 5


class Measurement(NamedTuple):
    """One row of the table."""

    body_mb: float
    parse_ms: float
    match_ms: float
    peak_mb: float
    """Peak memory beyond that of the process with the body loaded, in MiB."""
    best: str


def request_body(count: int, digits: int) -> bytearray:
    """Build a request with `count` embeddings, printed with `digits` significant digits."""
    random = np.random.default_rng(count)
    body = bytearray()
    for index in range(count):
        text = ", ".join(
            f"{number:.{digits}g}" for number in random.normal(0.0, 0.07, EMBEDDING_DIM).tolist()
        )
        if not index:
            body += f'{{"user_embedding": [{text}], "stored_embeddings": ['.encode()
        separator = ", " if index else ""
        body += f'{separator}{{"id": "user-{index}", "embedding": [{text}], "metadata": {{"n": 1}}}}'.encode()
    body += f'], "top_n": {TOP}}}'.encode()
    return body


def ours(body: bytearray) -> tuple[float, float, str]:
    """Return milliseconds of parsing and of matching, and the best id; matching is timed alone again."""
    started = time.process_time()
    best = json.loads(voices.search(body))["best_match"]["id"]
    total = time.process_time() - started
    count = body.count(b'"id"')
    block = np.random.default_rng(0).normal(size=(voices.BLOCK_VOICES, EMBEDDING_DIM))
    started = time.process_time()
    similarities = [cosines(block[0], block) for _ in range(0, count, voices.BLOCK_VOICES)]
    largest(np.concatenate(similarities), TOP)
    match = time.process_time() - started
    return 1e3 * (total - match), 1e3 * match, best


def naive(body: bytearray) -> tuple[float, float, str]:
    """Return the same figures for ``json.loads`` and a comparison of one pair at a time."""
    started = time.process_time()
    request = json.loads(body)
    parsed = time.process_time()
    query = Embedding(np.array(request["user_embedding"]), "m", "r")
    scored = [
        (cosine(query, Embedding(np.array(stored["embedding"]), "m", "r")), stored["id"])
        for stored in request["stored_embeddings"]
    ]
    best = max(scored)[1]
    return 1e3 * (parsed - started), 1e3 * (time.process_time() - parsed), best


def measure(search: Callable[[bytearray], tuple[float, float, str]], count: int, digits: int) -> Measurement:
    """Measure one implementation on one gallery, in this process."""
    body = request_body(count, digits)
    # Reset VmHWM, the peak resident size (Linux).
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_mb("VmRSS")
    parse_ms, match_ms, best = search(body)
    return Measurement(len(body) / 1e6, parse_ms, match_ms, _status_mb("VmHWM") - before, best)


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching", description=__doc__)
    parser.add_argument("--stored", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N")
    parser.add_argument(
        "--digits", type=int, default=9, help="significant digits: 9 for float32, 17 for float64"
    )
    parser.add_argument(
        "--naive-at-most",
        type=int,
        default=10_000,
        metavar="N",
        help="measure the naive search on at most N entries, and scale",
    )
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    titles = ("body MB", "parse ms", "match ms", "all ms", "peak MB")
    print(f"{'stored':>8} {'way':14}" + "".join(f"{title:>10}" for title in titles))
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for count in options.stored:
            for search in (ours, naive):
                size = min(count, options.naive_at_most) if search is naive else count
                row = pool.submit(measure, search, size, options.digits).result()
                assert row.best == "user-0"
                scale = count / size
                name = search.__name__ + (" (scaled)" if scale > 1 else "")
                numbers = [scale * number for number in (row.parse_ms, row.match_ms)]
                cells = (scale * row.body_mb, *numbers, sum(numbers), scale * row.peak_mb)
                print(f"{count:8} {name:14}" + "".join(f"{cell:10.0f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
