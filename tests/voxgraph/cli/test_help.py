"""The help of every command is the committed text, and comes without heavy imports.

After a change, write the texts again with ``WRITE_HELP=1 python -m pytest tests/voxgraph/cli/test_help.py``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cpu_time import cpu_seconds
from launched import ROOT

from voxgraph.cli.app import app

PYTHON_STARTS_S = 0.012
"""CPU seconds in which Python starts where the help takes 0.09."""
HELP = Path(__file__).parent / "help"
COMMANDS = {
    "analyze", "language", "accent", "deepfake", "diarize", "embed", "compare", "serve", "eval", "bench",
    "status", "doctor", "openapi", "checkpoints", "keys", "gallery", "audit",
}  # fmt: skip
GALLERY = (
    "add", "calibrate", "confirm", "create", "duplicates", "enrol", "enrol-all", "erase", "export",
    "identify", "list", "merge", "opt-out", "reject", "rename", "report", "rotate-key", "show", "speakers",
    "verify", "withdraw-consent",
)  # fmt: skip
GROUPS = ((), ("checkpoints",), ("keys",), ("gallery",), ("audit",))
PAGES = [
    *((name,) for name in sorted(COMMANDS)),
    *(("checkpoints", name) for name in ("list", "pull", "verify")),
    *(("keys", name) for name in ("list", "new", "revoke")),
    *(("gallery", name) for name in GALLERY),
    *(("audit", name) for name in ("ledger", "receipts", "verify")),
    (),
]
HEAVY = {
    "httpx2", "numpy", "torch", "ray", "pydantic", "matplotlib", "asyncio", "rich.table", "rich.progress",
    "voxgraph.client", "voxgraph.results", "deployments",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids="-".join)
def test_the_help_is_the_committed_text(command, page: tuple[str, ...]) -> None:
    flag = "-h" if page[:1] in (("eval",), ("bench",)) else "--help"
    done = command(*page, flag)
    path = HELP / f"{'-'.join(page) or 'voxgraph'}.txt"

    assert done.status == 0
    if os.environ.get("WRITE_HELP"):
        path.write_text(done.out)
    assert done.out == path.read_text()


def test_every_command_has_a_page_with_an_example() -> None:
    names = {each.name or each.callback.__name__ for each in app.registered_commands}  # type: ignore[union-attr]
    groups = {each.typer_instance.info.name for each in app.registered_groups}  # type: ignore[union-attr]

    assert names | groups == COMMANDS
    assert {path.stem for path in HELP.glob("*.txt")} == {"-".join(page) or "voxgraph" for page in PAGES}
    for page in PAGES:
        if page not in GROUPS:
            assert "Example: " in (HELP / f"{'-'.join(page)}.txt").read_text()


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from voxgraph.cli.app import main; main(['--help']); "
        f"heavy = {HEAVY} & set(sys.modules); assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_the_help_is_there_in_150_milliseconds() -> None:
    """Measured in starts of Python, which take longer, too, beside whatever else the machine does."""
    assert cpu_seconds("-m", "voxgraph", "--help") < 0.15 / PYTHON_STARTS_S * cpu_seconds("-c", "pass")


def test_the_version_is_shown(command) -> None:
    import voxgraph

    assert command("--version").out == f"voxgraph {voxgraph.__version__}\n"
