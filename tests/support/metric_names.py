"""Names of the metrics that a cluster exports, read from the source code that defines them."""

import ast
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {
    "Counter": ("_total",),
    "Gauge": ("",),
    "Histogram": ("_bucket", "_sum", "_count"),
}


def exported(*folders: Path) -> set[str]:
    """Return Prometheus' names of all ``Counter("name", ...)``, gauges and histograms in some folders."""
    return {
        f"ray_{name}{suffix}"
        for folder in folders
        for path in folder.rglob("*.py")
        for kind, name in _defined(ast.parse(path.read_text()))
        for suffix in SUFFIXES[kind]
    }


def _defined(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            kind = getattr(call.func, "attr", getattr(call.func, "id", ""))
            names = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
            if kind in SUFFIXES and names and (name := _text(names[0])):
                yield kind, name


def _text(node: ast.expr) -> str:
    """Return a literal name, with "http" for the protocol in the names of Serve's proxy metrics."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "http" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
