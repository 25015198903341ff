"""Time what the limits of an API key add to one clip alone: ``python -m benchmarks.keys``.

Keys with and without limits send recordings to one graph in turn, so that any disturbance of the machine
affects all of them. A limit is counted for the whole graph, which takes a call to another process.
"""

import argparse
import time
from collections import defaultdict
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import yaml

from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.recordings import clip, wav
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, graph_server, running, write_graph_config
from benchmarks.uploads import WARM_UPS, ask
from config.settings import Size
from voxgraph.keys import Key, make_key
from voxgraph.options import ModelKey

MANY = 1_000_000
PAUSE_S = 0.05
"""Seconds before each request, so that none pays for the call behind the answer before it."""
LIMITS: dict[str, tuple[int | None, int | None]] = {
    "none": (None, None),
    "a rate": (MANY, None),
    "recordings at a time": (None, MANY),
    "both": (MANY, MANY),
}
"""Requests a minute and recordings at a time, by a key's name."""
TITLES = ("limits of the key", "median ms", "beside none")


def write_config(keys: list[Key]) -> Path:
    """Write the configuration of a graph with a small language model, which these keys may ask."""
    model, folder, path = ModelKey.LANGUAGE, BUILD / Size.SMALL, BUILD / "keys.yaml"
    ensure_checkpoint(model, Size.SMALL, folder)
    write_graph_config(path, folder, [model], {model: Size.SMALL}, replicas=1)
    config = yaml.safe_load(path.read_text())
    config["applications"][0]["args"]["api_keys"] = [
        {
            "name": key.name,
            "sha256": key.sha256,
            "requests_per_minute": key.requests_per_minute,
            "max_concurrent": key.max_concurrent,
        }
        for key in keys
    ]
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def measure(seconds: float, times: int) -> list[list[str]]:
    """Run the graph and return the rows of the table; differences are medians of those within a round."""
    secrets = {name: make_key(name, ("ask",), *limits) for name, limits in LIMITS.items()}
    found = defaultdict[str, list[float]](list)
    server = graph_server(write_config([key for _, key in secrets.values()]), BUILD)
    with running(server):
        connection = HTTPConnection(urlsplit(server.url).netloc)
        for number in range(WARM_UPS + times):
            for name in LIMITS if number % 2 else reversed(LIMITS):
                headers = {"authorization": f"Bearer {secrets[name][0]}"}
                time.sleep(PAUSE_S)
                timed = ask(connection, wav(clip(seconds)), headers)
                if number >= WARM_UPS:
                    found[name].append(timed.total_ms)
    rows = []
    for name, own in found.items():
        more = median(mine - none for mine, none in zip(own, found["none"], strict=True))
        rows.append([name, f"{median(own):.1f}", f"{more:+.1f}"])
    return sorted(rows, key=lambda row: list(LIMITS).index(row[0]))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of the recordings")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    rows = measure(options.seconds, options.times)
    text = f"{cpu_name()}; {options.times} recordings of {options.seconds:g} s, one request at a time."
    publish("The limits of a key", f"{text}\n\n{table(TITLES, rows)}", write=options.write)


if __name__ == "__main__":
    main()
