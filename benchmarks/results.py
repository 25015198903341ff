"""Maintain ``RESULTS.md``: a section for each measurement, with the command that made it."""

import re
import shlex
import sys
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLE = "# Results"
WRITE_HELP = f"also write the result to benchmarks/{RESULTS.name}"


def publish(title: str, text: str, *, write: bool) -> None:
    """Print a result with the command that made it, and also write it to ``RESULTS.md`` if `write` is set."""
    print(section(text))
    if write:
        write_section(title, text)


def write_section(title: str, text: str, path: Path = RESULTS) -> None:
    """Write a result, with the command that made it; replace the section of the same title.

    Args:
        title: Title of the section.
        text: Markdown.
        path: File to write to.
    """
    found = sections(path.read_text()) if path.exists() else {}
    found[title] = section(text)
    path.write_text("\n".join([f"{TITLE}\n", *(f"## {name}\n\n{body}" for name, body in found.items())]))


def section(text: str) -> str:
    """Return the body of a section: the command and the text."""
    return f"`{command()}`\n\n{text.strip()}\n"


def sections(page: str) -> dict[str, str]:
    """Split a page into the bodies of its sections, by title."""
    _, *rest = re.split(r"^## (.*)\n\n", page, flags=re.MULTILINE)
    return {name: f"{body.rstrip()}\n" for name, body in zip(rest[::2], rest[1::2], strict=True)}


def command() -> str:
    """Return the command line of this program, without ``--write``."""
    spec = sys.modules["__main__"].__spec__
    module = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return shlex.join(["python", "-m", module, *(word for word in sys.argv[1:] if word != "--write")])
