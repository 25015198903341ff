"""Checks of this machine and of the server, each with a sentence that says what to do."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import typer
from rich.table import Table

import voxgraph
from voxgraph.cli.arguments import Where
from voxgraph.cli.console import stdout
from voxgraph.cli.exits import Exit
from voxgraph.cli.health import fetch
from voxgraph.cli.installed import of_service, starter_config
from voxgraph.client import questions, settings
from voxgraph.errors import VoxError

SERVER_TIMEOUT_S = 10.0
NEEDED_CORES, NEEDED_MEMORY_GB, NEEDED_DISK_GB, NEEDED_SHM_GB = 2, 8.0, 8.0, 1.0
"""What `make serve` needs; the README says so."""
PORTS = {8000: "HTTP", 8265: "Ray's dashboard"}
PACKAGES = ("ray", "torch", "openvino", "pyannote.audio", "speechbrain")
GB = 1e9


class Verdict(StrEnum):
    """Result of a check."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and what was found."""

    verdict: Verdict
    subject: str
    finding: str


def examine(where: Where) -> None:
    """Print all checks; end with `Exit.SOME_FAILED` if one is bad."""
    checks = [*checks_of_client(where)]
    if importlib.util.find_spec("deployments") is None:
        note = "Only the client is installed, which is enough to ask a server."
        checks.append(Check(Verdict.NOTE, "service", note))
    else:
        checks += checks_of_service(where)
    table = Table.grid(padding=(0, 2))
    for check in checks:
        table.add_row(check.verdict, check.subject, check.finding)
    stdout().print(table)
    if any(check.verdict is Verdict.BAD for check in checks):
        raise typer.Exit(Exit.SOME_FAILED)


def checks_of_client(where: Where) -> Iterator[Check]:
    """Check what every user of the client needs."""
    version = f"voxgraph {voxgraph.__version__}, Python {platform.python_version()}, {platform.machine()}"
    yield Check(Verdict.GOOD, "versions", version)
    yield guarded("API key", check_key)
    yield guarded("server", lambda: check_server(where))


def guarded(subject: str, check: Callable[[], Check]) -> Check:
    """Run a check; one that fails is bad, with its error as the finding."""
    try:
        return check()
    except (VoxError, OSError) as error:
        return Check(Verdict.BAD, subject, str(error))


def check_key() -> Check:
    """Check that the API key can be read, and by nobody else."""
    found = settings.api_key()
    return Check(
        Verdict.GOOD,
        "API key",
        "There is none; a server that needs one refuses." if found is None else "There is one.",
    )


def check_server(where: Where) -> Check:
    """Check that the server answers, and how it is."""
    url = settings.server_url(where.url)
    try:
        health = fetch(questions.health(timeout_s=where.timeout or SERVER_TIMEOUT_S), Where(url=where.url))
    except VoxError as error:
        return Check(Verdict.NOTE, "server", f"{error.detail} Start one with make serve, or use --local.")
    finding = f"{url} answers: voxgraph {health['version']}, {health['status']}."
    if health["failed"]:
        return Check(Verdict.BAD, "server", f"{finding} Without an answer: {', '.join(health['failed'])}.")
    if health["version"] != voxgraph.__version__:
        return Check(Verdict.NOTE, "server", f"{finding} This client is of version {voxgraph.__version__}.")
    return Check(Verdict.GOOD, "server", finding)


def checks_of_service(where: Where) -> Iterator[Check]:
    """Check what a graph on this machine needs."""
    yield check_python()
    yield check_packages()
    yield enough("cores", os.cpu_count(), NEEDED_CORES, "cores")
    yield guarded("memory", check_memory)
    yield guarded(
        "disk",
        lambda: enough("disk", shutil.disk_usage(Path.cwd()).free / GB, NEEDED_DISK_GB, "GB free here"),
    )
    if Path("/dev/shm").is_dir():
        yield guarded("shared memory", check_shared_memory)
    for port, use in PORTS.items():
        yield check_port(port, use)
    yield guarded("checkpoints", lambda: check_checkpoints(where))


def check_python() -> Check:
    """Check that the service supports this Python."""
    found = f"Python {platform.python_version()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Check(Verdict.GOOD, "Python", f"{found} runs the service.")
    return Check(Verdict.BAD, "Python", f"{found}: the service needs 3.11 or 3.12; the client runs.")


def check_packages() -> Check:
    """Check that the packages of the service are installed."""
    versions, missing = list[str](), list[str]()
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check(
            Verdict.BAD, "packages", f"Not installed: {', '.join(missing)}. Run make serve in a checkout."
        )
    return Check(Verdict.GOOD, "packages", ", ".join(versions))


def check_memory() -> Check:
    """Check the memory that is there, used or not."""
    psutil = of_service("psutil:virtual_memory")()
    check = enough("memory", psutil.total / GB, NEEDED_MEMORY_GB, "GB")
    return Check(
        check.verdict, check.subject, f"{check.finding} {psutil.available / GB:.1f} GB are available now."
    )


def check_shared_memory() -> Check:
    """Check the folder of Ray's object store, which is small in containers."""
    check = enough(
        "shared memory", shutil.disk_usage("/dev/shm").free / GB, NEEDED_SHM_GB, "GB free in /dev/shm"
    )
    if check.verdict is Verdict.GOOD:
        return check
    return Check(Verdict.NOTE, check.subject, f"{check.finding} In a container, set --shm-size.")


def enough(subject: str, found: float | None, needed: float, unit: str) -> Check:
    """Compare a quantity with what is needed."""
    text = f"{found or 0:.3g} {unit}"
    if (found or 0) >= needed:
        return Check(Verdict.GOOD, subject, f"{text}.")
    return Check(Verdict.BAD, subject, f"{text}; {needed:g} are needed.")


def check_port(port: int, use: str) -> Check:
    """Check that nobody listens where the graph would."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            finding = f"{port} ({use}) is taken: by a graph that runs, or choose another with --port."
            return Check(Verdict.NOTE, "port", finding)
    return Check(Verdict.GOOD, "port", f"{port} ({use}) is free.")


def check_checkpoints(where: Where) -> Check:
    """Check that the checkpoints of a configuration are on this machine."""
    config = where.config or starter_config()
    found = list(of_service("deployments.checkpoint_files:verified")(config))
    missing = [f"{each.model}: {each.problem}" for each in found if each.problem]
    if missing:
        return Check(Verdict.BAD, "checkpoints", f"{' '.join(missing)} See voxgraph checkpoints.")
    return Check(Verdict.GOOD, "checkpoints", f"All {len(found)} of {config.name} are complete.")
