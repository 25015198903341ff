"""Kill processes in the middle of enrolments, erasures and merges, and look at what they leave.

Run as a program: ``killed_galleries.py STATE KILLS SEED``. It prints one JSON object: how often a process was
killed in each operation, how many of them were complete nevertheless, and what was wrong. Each process is a
fork of this one, which has imported everything and knows every statement, but has no connection.
"""

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.default import DefaultDialect
from voices import CONSENT, Clock, heard

from gallery import erasure_list, references
from gallery.galleries import Galleries
from gallery.speakers import Profile
from gallery.tables import refs, speakers
from voxgraph.results import GalleryPolicy

TENANT, GALLERY = "acme", "staff"
LAST_POINTS = 8
POPULATION = 8
OPERATIONS = ("enrol", "erase", "merge")
POLICY = GalleryPolicy(duplicates="allow", max_references=200)
Snapshot = dict[str, list[str]]
"""Ids of the references of each speaker, by external id."""


@dataclass
class Task:
    """What a process does until it is killed."""

    operation: str
    who: str
    other: str

    def run(self, store: Galleries) -> None:
        """Do it."""
        if self.operation == "enrol":
            store.enrol(TENANT, GALLERY, self.who, heard(0), actor="key")
        elif self.operation == "erase":
            store.erase(TENANT, GALLERY, self.who, actor="key")
        else:
            store.merge(TENANT, GALLERY, into=self.who, source=self.other, actor="key")

    def is_done(self, before: Snapshot, after: Snapshot) -> bool:
        """Return whether the later snapshot is what the whole operation makes of the earlier one."""
        expected = {name: set(ids) for name, ids in before.items()}
        found = {name: set(ids) for name, ids in after.items()}
        if self.operation == "enrol":
            new = found.get(self.who, set()) - expected[self.who]
            expected[self.who] |= new
            return len(new) == 1 and found == expected
        if self.operation == "erase":
            del expected[self.who]
        else:
            expected[self.who] |= expected.pop(self.other)
        return found == expected


class Fuse:
    """Kills this process at one of the points before and after statements, commits and lines of the list."""

    def __init__(self, point: int) -> None:
        self._left = point
        self.passed = 0

    def __call__(self, *_: Any, **__: Any) -> None:
        self.passed += 1
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def light(self) -> None:
        """Put it into everything that writes."""
        event.listen(sa.Engine, "before_cursor_execute", self)
        event.listen(sa.Engine, "after_cursor_execute", self)
        for owner, name in ((DefaultDialect, "do_commit"), (erasure_list.ErasureList, "append")):
            setattr(owner, name, self._around(getattr(owner, name)))

    def _around(self, function: Any) -> Any:
        def fused(*arguments: Any) -> Any:
            self()
            answer = function(*arguments)
            self()
            return answer

        return fused


def snapshot(store: Galleries) -> tuple[Snapshot, list[str]]:
    """Return who is there, and what is wrong with them."""
    with store._store.read() as transaction:
        rows = list(transaction.execute(sa.select(speakers)))
        keys = transaction.store.keys.get(row.key_id for row in rows)
        opened = list(references.opened(transaction, rows, keys))
        names = {row.id: Profile.open(keys[row.key_id], row).external_id for row in rows}
        lost = transaction.execute(sa.select(sa.func.count()).select_from(refs)).scalar_one() - len(opened)
    found: Snapshot = {name: [] for name in names.values()}
    for kept in opened:
        found[names[kept.speaker_id]].append(kept.reference_id)
    counts = [(row.reference_count, len(found[names[row.id]])) for row in rows]
    problems = [f"{counted} references are {there} vectors" for counted, there in counts if counted != there]
    used = {key_id for row in rows for key_id in (row.key_id, *row.merged["keys"])}
    problems += ["a reference has no vector"] * (lost != 0)
    return found, problems + ["the key of an erased speaker is left"] * (store._store.keys.ids() != used)


def in_fork(store: Galleries, operation: str, seed: int, point: int) -> dict[str, Any]:
    """Connect to the store in a new process, look at it, and begin an operation that ends at the point.

    Returns:
        What the process reported: ``found`` at first, ``before`` the operation, the ``task``, and the
        points that it ``passed`` if it came to the end.
    """
    read_end, write_end = os.pipe()
    if (child := os.fork()) == 0:
        with os.fdopen(write_end, "w") as pipe:
            for report in _reports(store, operation, random.Random(seed), point):
                pipe.write(json.dumps(report) + "\n")
                pipe.flush()
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        report = {name: value for line in pipe for name, value in json.loads(line).items()}
    return {**report, "was_killed": os.WIFSIGNALED(os.waitpid(child, 0)[1])}


def _reports(store: Galleries, operation: str, chance: random.Random, point: int) -> Iterator[dict[str, Any]]:
    store.reapply_erasures()
    found, problems = snapshot(store)
    yield {"found": found, "problems": problems}
    if operation == "check":
        yield {"problems": [*problems, *store.verify_ledger(TENANT).problems]}
        return
    task, found = _prepared(store, operation, chance)
    yield {"before": found, "task": asdict(task)}
    fuse = Fuse(point)
    fuse.light()
    task.run(store)
    yield {"passed": fuse.passed}


def _prepared(store: Galleries, operation: str, chance: random.Random) -> tuple[Task, Snapshot]:
    """Enrol speakers until there are enough, and choose whom an operation is about."""
    while len(found := snapshot(store)[0]) < POPULATION:
        name = f"speaker {chance.random()}"
        store.put_speaker(TENANT, GALLERY, name, consent=CONSENT, actor="key")
        store.enrol(TENANT, GALLERY, name, heard(0), actor="key")
    return Task(operation, *chance.sample(sorted(found), 2)), found


def _chosen(points: int, chance: random.Random) -> int:
    """Choose a point: every third time one of the last, where the outcome turns from nothing to all."""
    return chance.randint(points - LAST_POINTS if chance.random() < 1 / 3 else 1, points)


def main(state: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill as often as asked and return the outcome."""
    chance = random.Random(seed)
    store = Galleries(state, clock=Clock())
    store.create(TENANT, GALLERY, POLICY, actor="key")
    for operation in OPERATIONS:
        _prepared(store, operation, chance)[0].run(store)
    # The pool is empty then, and a fork makes connections of its own.
    store.close()
    points = {name: in_fork(store, name, number, 0)["passed"] for number, name in enumerate(OPERATIONS)}
    outcome: dict[str, Any] = {
        "points": points, "killed": dict.fromkeys(OPERATIONS, 0), "done": dict.fromkeys(OPERATIONS, 0),
    }  # fmt: skip
    problems: list[str] = []
    last: dict[str, Any] | None = None
    for number in range(kills + 1):
        is_last = number == kills
        operation = "check" if is_last else chance.choice(OPERATIONS)
        point = 0 if is_last else _chosen(points[operation], chance)
        report = in_fork(store, operation, seed + number, point)
        problems += report["problems"]
        if last is not None:
            task = Task(**last["task"])
            is_done = task.is_done(last["before"], report["found"])
            outcome["killed"][task.operation] += last["was_killed"]
            outcome["done"][task.operation] += is_done
            if not is_done and report["found"] != last["before"]:
                problems.append(f"{task} is half done: {last['before']} became {report['found']}")
        last = report
    return {**outcome, "problems": problems}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
