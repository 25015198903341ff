"""Time a gallery beyond the embedding, with its ledger and journal: ``python -m benchmarks.gallery_speed``.

A store in a new folder is filled with random voices. Then voices are identified and enrolled through
`gallery.galleries.Galleries`, as the graph does, one at a time. Wall-clock and CPU time of one process.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from benchmarks.results import WRITE_HELP, publish
from gallery import scope, tables
from gallery.calibration import calibrated_encoders
from gallery.galleries import Galleries
from gallery.keys import new_id
from gallery.scope import Scope
from gallery.speakers import Profile, subject
from gallery.store import Transaction
from voxgraph.results import Decision, Evidence, GalleryPolicy, Observation, Space, VoiceSample
from voxgraph.similarity import EMBEDDING_DIM

TITLE = "A gallery of voices"
TENANT, GALLERY, ACTOR = "default", "speed", "benchmark"
SPACE = next(Space(model, revision, EMBEDDING_DIM) for model, revision in calibrated_encoders())
"""That of the starter's encoder, so that its calibration decides."""
POLICY = GalleryPolicy(require_consent=False)
EVIDENCE = Evidence(speech_s=24.0, snr_db=20.0, clipped_ratio=0.0, bandwidth_hz=7800, speakers_heard=1)
AT_ONCE = 1000
"""Voices that are filled in one transaction."""


@dataclass(slots=True)
class Times:
    """Times of one kind of question."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Time one question."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_ms.append(1e3 * (time.perf_counter() - wall))
        self.cpu_ms.append(1e3 * (time.process_time() - cpu))

    def row(self, name: str) -> str:
        """Return the row of a table."""
        quantiles = [*np.quantile(self.wall_ms, [0.5, 0.95, 0.99]), np.median(self.cpu_ms)]
        cells = " | ".join(f"{value:.1f}" for value in quantiles)
        return f"| {name} | {len(self.wall_ms)} | {cells} | {60e3 / np.mean(self.wall_ms):.0f} |"


class Voices:
    """Random voices; the same number gives the same one.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self.vectors = np.random.default_rng(0).normal(size=(count, SPACE.dim)).astype(np.float32)
        self._noise = np.random.default_rng(1)

    def heard(self, index: int, noise: float = 0.0) -> Observation:
        """Return a recording of one voice."""
        vector = self.vectors[index] + noise * self._noise.normal(size=SPACE.dim).astype(np.float32)
        return Observation((VoiceSample(SPACE, vector),), EVIDENCE)


def fill(galleries: Galleries, voices: Voices, count: int) -> None:
    """Enrol the first voice and put the others beside it in bulk, sealed and keyed like it; the gates of
    100,000 would take an hour."""
    galleries.create(TENANT, GALLERY, POLICY, actor=ACTOR)
    galleries.put_speaker(TENANT, GALLERY, "speaker 0", actor=ACTOR)
    galleries.enrol(TENANT, GALLERY, "speaker 0", voices.heard(0), actor=ACTOR)
    for start in range(1, count, AT_ONCE):
        with galleries._changing(TENANT, GALLERY) as (transaction, found):
            _copy(transaction, found, voices, range(start, min(start + AT_ONCE, count)))


def _copy(transaction: Transaction, found: Scope, voices: Voices, chosen: range) -> None:
    """Insert speakers with one reference each that are like the first but for what is their own."""
    first = [
        dict(transaction.execute(sa.select(table).limit(1)).one()._mapping)
        for table in (tables.speakers, tables.refs, tables.vectors)
    ]
    rows: list[list[dict[str, object]]] = [[], [], [], []]
    for index in chosen:
        speaker_id, reference_id, key_id = (new_id(prefix) for prefix in ("spk", "ref", "key"))
        key, wrapped = transaction.store.master.new_data_key(key_id)
        external_id = f"speaker {index}"
        own: tuple[dict[str, object], ...] = (
            {
                "id": speaker_id, "key_id": key_id,
                "subject": subject(transaction, found, external_id),
                "profile": Profile(external_id, None, {}).seal(key, speaker_id),
            },
            {"id": reference_id, "speaker_id": speaker_id},
            {
                "reference_id": reference_id,
                "sealed": key.seal(
                    voices.vectors[index].tobytes(),
                    f"{speaker_id}:{reference_id}:{first[2]['space_id']}",
                ),
            },
        )  # fmt: skip
        for of_table, template, change in zip(rows, first, own, strict=False):
            of_table.append({**template, **change})
        rows[3].append({"id": key_id, "wrapped": wrapped, "created_at": transaction.now})
    with transaction.store.keys._database.write() as connection:
        connection.execute(tables.data_keys.insert(), rows[3])
    for table, inserted in zip((tables.speakers, tables.refs, tables.vectors), rows, strict=False):
        transaction.connection.execute(table.insert(), inserted)
    scope.changed(transaction, found, ())


def identify(galleries: Galleries, voices: Voices, chosen: Sequence[int]) -> Times:
    """Identify enrolled voices with noise, one at a time."""
    times = Times()
    for index in chosen:
        observation = voices.heard(index, noise=0.3)
        with times.one():
            (found,) = galleries.identify(TENANT, GALLERY, [observation], actor=ACTOR)
        assert (found.decision, found.speaker) == (Decision.MATCH, f"speaker {index}")
    return times


def enrol(galleries: Galleries, voices: Voices, chosen: Sequence[int]) -> Times:
    """Enrol new speakers with one recording each, through all gates."""
    times = Times()
    for index in chosen:
        with times.one():
            galleries.put_speaker(TENANT, GALLERY, f"speaker {index}", actor=ACTOR)
            enrolled = galleries.enrol(TENANT, GALLERY, f"speaker {index}", voices.heard(index), actor=ACTOR)
        assert enrolled.accepted
    return times


def measure(folder: Path, size: int, questions: int, say: Callable[[str], None]) -> list[str]:
    """Return the rows of the table for a gallery of one size."""
    voices = Voices(size + questions)
    with Galleries(folder) as galleries:
        fill(galleries, voices, size)
    say(f"{size} voices are in the store")
    with Galleries(folder) as galleries:
        first = identify(galleries, voices, [0])
        chosen = np.random.default_rng(2).choice(size, questions).tolist()
        return [
            first.row(f"first question to {size:,} voices: they are read and opened"),
            identify(galleries, voices, chosen).row(f"identify among {size:,}"),
            enrol(galleries, voices, range(size, size + questions)).row(f"enrol into {size:,}"),
            identify(galleries, voices, chosen[:20]).row("identify after these"),
        ]


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery_speed", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000], metavar="N")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--write", action="store_true", help=WRITE_HELP)
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), size, options.questions, lambda text: print(text, flush=True))
    head = (
        "| question | count | p50 ms | p95 ms | p99 ms | CPU ms, p50 | a minute |\n"
        "|---|---|---|---|---|---|---|"
    )
    said = (
        "One process and SQLite, without the embedding, with encryption, ledger, journal and gates; 192 "
        f"numbers a voice. {os.cpu_count()} cores, {os.getloadavg()[0]:.1f} processes running."
    )
    publish(TITLE, "\n".join([said, "", head, *rows]), write=options.write)


if __name__ == "__main__":
    main()
