"""Docstrings are sentences: none begins with a word that needs another sentence before it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from launched import ROOT

FOLDERS = (
    "voxgraph", "config", "pipelines", "deployments", "evaluation", "gallery",
    "benchmarks", "training", "deploy", "examples",
)  # fmt: skip
DANGLING = ("Of ", "As ", "By ", "And ")


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a file, those behind attributes and constants too, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str):
                    yield statement.lineno, value.strip()


def test_no_docstring_begins_with_a_dangling_word() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in strings(path)
        if text.startswith(DANGLING)
    ]

    assert found == []


def test_the_lint_finds_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""Of the graph."""\nX = 1\n"""By name."""\n\n\ndef f():\n    """As before."""\n')

    assert [text.split()[0] for _, text in strings(path)] == ["Of", "By", "As"]
