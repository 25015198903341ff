"""The names under which a cluster exports its metrics, read from the source that makes them."""

import ast
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {
    "Counter": ("_total",),
    "Gauge": ("",),
    "Histogram": ("_bucket", "_sum", "_count"),
}


def exported(*folders: Path) -> set[str]:
    """Of every ``Counter("name", ...)`` and the like below some folders, as Prometheus sees it."""
    return {
        f"ray_{name}{suffix}"
        for folder in folders
        for path in folder.rglob("*.py")
        for kind, name in _made(ast.parse(path.read_text()))
        for suffix in SUFFIXES[kind]
    }


def _made(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            kind = getattr(call.func, "attr", getattr(call.func, "id", ""))
            names = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
            if kind in SUFFIXES and names and (name := _text(names[0])):
                yield kind, name


def _text(node: ast.expr) -> str:
    """A literal name; Serve writes its proxies' with the protocol in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "http" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
