"""``RESULTS.md``: a section for each measurement, with the command that made it."""

import re
import shlex
import sys
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLE = "# Results"
WRITE_HELP = f"also keep it in benchmarks/{RESULTS.name}"


def publish(title: str, text: str, *, write: bool) -> None:
    """Print what was measured with the command that did, and keep it if asked to."""
    print(section(text))
    if write:
        keep(title, text)


def keep(title: str, text: str, path: Path = RESULTS) -> None:
    """Keep what was measured, with the command that did, in place of what stood under its title.

    Args:
        title: Of the section.
        text: Markdown.
        path: The file that it is kept in.
    """
    kept = sections(path.read_text()) if path.exists() else {}
    kept[title] = section(text)
    path.write_text("\n".join([f"{TITLE}\n", *(f"## {name}\n\n{body}" for name, body in kept.items())]))


def section(text: str) -> str:
    """What stands under a title."""
    return f"`{command()}`\n\n{text.strip()}\n"


def sections(page: str) -> dict[str, str]:
    """The sections of a page by title."""
    _, *rest = re.split(r"^## (.*)\n\n", page, flags=re.MULTILINE)
    return {name: f"{body.rstrip()}\n" for name, body in zip(rest[::2], rest[1::2], strict=True)}


def command() -> str:
    """How this program was called, without what only says that the results are kept."""
    spec = sys.modules["__main__"].__spec__
    module = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    return shlex.join(["python", "-m", module, *(word for word in sys.argv[1:] if word != "--write")])
