"""How long a question goes unanswered when its only replica is killed: ``python -m benchmarks.recovery``.

The demo graph, a replica of each model. The process is killed, as the kernel does when memory runs out, and
the question is asked again and again until it is answered.
"""

import argparse
import statistics
import time

import httpx2

from benchmarks.load import HEADERS, Ask
from benchmarks.report import cpu_name, table
from benchmarks.results import WRITE_HELP, publish
from benchmarks.servers import BUILD, DEMO_CONFIG, Server, graph_server, running

QUESTIONS = {
    "Language": Ask("/detect-language", 2.0),
    "AccentEcapa": Ask("/classify-us-accent", 2.0),
    "AccentXlsr": Ask("/identify", 2.0),
    "Deepfake": Ask("/audio/analyze-audio", 2.0),
    "Diarization": Ask("/diarize", 2.0),
    "Ingress": Ask("/detect-language", 2.0),
}
"""What is asked of the deployment that is killed."""
ASKED_EVERY_S = 0.05
PATIENCE_S = 60.0
RESTS_S = 3.0
"""Between an answer and the next kill."""


def answered(server: Server, ask: Ask, since: float) -> float:
    """Ask until there is an answer: seconds since then.

    Raises:
        TimeoutError: There is none within `PATIENCE_S`.
    """
    with httpx2.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        while time.monotonic() - since < PATIENCE_S:
            try:
                if client.post(ask.path, content=ask.body(), headers=HEADERS).status_code == 200:
                    return time.monotonic() - since
            except httpx2.HTTPError:
                pass
            time.sleep(ASKED_EVERY_S)
    raise TimeoutError(f"{ask.path} was not answered again within {PATIENCE_S:g} s.")


def recovery(server: Server, name: str, rounds: int) -> list[str]:
    """One row: kill a deployment's replica and wait for the answer, some times."""
    ask = QUESTIONS[name]
    took = []
    for _ in range(rounds):
        answered(server, ask, time.monotonic())
        time.sleep(RESTS_S)
        server.kill(name)
        took.append(answered(server, ask, time.monotonic()))
    return [name, ask.path, str(rounds), f"{statistics.median(took):.1f}", f"{max(took):.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    graph = graph_server(DEMO_CONFIG, BUILD)
    with running(graph):
        rows = [recovery(graph, name, options.rounds) for name in options.only]
    titles = ["killed", "asked", "times", "median s", "longest s"]
    publish("Recovery", f"{cpu_name()}; {DEMO_CONFIG.name}.\n\n{table(titles, rows)}", write=options.write)


if __name__ == "__main__":
    main()
