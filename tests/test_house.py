"""What the pages of the project say about it is true."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from launched import ROOT

import voxgraph
from config.checkpoints import CHECKPOINTS, FAMILIES
from config.settings import GraphSettings
from config.starter_checkpoints import STARTER_CHECKPOINTS
from deployments.api.app import create_app
from deployments.api.errors import STATUS
from deployments.api.service import GraphAnalyzer
from pipelines.audio.formats import FORMATS, Container

DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md", *DOCS]
NAMES_THE_PAST = {"CHANGELOG.md", "docs/migration.md"}
"""Pages that name files and modules which are gone."""
PRESENT_PAGES = [page for page in PAGES if page not in NAMES_THE_PAST]
README = (ROOT / "README.md").read_text()
MAX_README_LINES = 140
OURS = ("voxgraph", "config", "pipelines", "deployments", "evaluation", "gallery", "training", "benchmarks")
FILE_NAME = re.compile(r"[\w./-]+\.(?:py|md|ya?ml|toml|json|sh)")
MODULE_NAME = re.compile(rf"(?<![\w/.])(?:{'|'.join(OURS)})(?:\.\w+)+(?::\w+)?")


def read(page: str) -> str:
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


def code_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", read(page), re.DOTALL | re.MULTILINE)


def code_spans(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            yield target


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    assert list(broken_links(page)) == []


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    assert [page for page in PAGES if page != "README.md" and f"({page})" not in README] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", read("Makefile"), re.MULTILINE))

    assert targets >= set(re.findall(r"(?:`|^ *|&& |=\S+ )make ([a-z-]+)", read(page), re.MULTILINE))


@pytest.mark.parametrize("page", PRESENT_PAGES)
def test_every_file_that_is_named_with_its_folder_exists(page: str) -> None:
    """A bare name may be short for a file whose folder the sentence gives; a name with a folder may not."""
    named = {name for span in code_spans(page) for name in FILE_NAME.findall(span) if "/" in name}
    relative = {name for name in named if not name.startswith("/")}

    assert [
        name
        for name in sorted(relative)
        if not ((ROOT / name).exists() or ((ROOT / page).parent / name).exists())
        and name.split("/")[0] in {path.name for path in ROOT.iterdir()}
    ] == []


@pytest.mark.parametrize("page", PRESENT_PAGES)
def test_every_folder_that_is_named_exists(page: str) -> None:
    named = {span for span in code_spans(page) if re.fullmatch(r"[a-z_]+/(?:[a-z_]+/)*", span)}
    known = [ROOT, ROOT / "pipelines", ROOT / "deployments", (ROOT / page).parent]

    assert [name for name in sorted(named) if not any((folder / name).is_dir() for folder in known)] == []


@pytest.mark.parametrize("page", PRESENT_PAGES)
def test_every_module_that_is_named_exists(page: str) -> None:
    named = {name for span in code_spans(page) for name in MODULE_NAME.findall(span)}
    modules = {name for name in named if not FILE_NAME.fullmatch(name)}

    assert [name for name in sorted(modules) if not _is_there(name)] == []


def _is_there(name: str) -> bool:
    """Whether a dotted name is a module or a package of ours, or what follows one stands in its source."""
    parts = re.split(r"[.:]", name)
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        source = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if source.is_file():
            return all(re.search(rf"\b{part}\b", source.read_text()) for part in parts[length:])
    return False


METHODS = "GET|POST|PUT|PATCH|DELETE"
OWN_PAGES = {"pyannoteai", "gallery"}
"""Tags of endpoints that are described in docs/migration.md and docs/gallery.md, not in docs/api.md."""


def python_blocks() -> list[tuple[str, str]]:
    return [(page, block) for page in PAGES for block in code_blocks(page, "python")]


@pytest.mark.parametrize(("page", "block"), python_blocks())
def test_python_compiles_and_imports_what_there_is(page: str, block: str) -> None:
    tree = compile(block, page, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_is_named_is_one_of_the_application(page: str) -> None:
    named = set(re.findall(rf"`(?:{METHODS}) (/[\w/{{}}.-]*)", read(page)))

    assert named <= {*_paths(), *_paths("pyannoteai"), *_paths("gallery")}


def test_the_page_of_the_interface_names_every_path_and_every_error() -> None:
    page = read("docs/api.md")

    assert set(re.findall(r"`(?:GET|POST) (/[\w/-]*)", page)) == set(_paths())
    assert [error.code for error in STATUS if f"`{error.code}`" not in page] == []


def test_the_page_of_the_galleries_names_every_operation() -> None:
    paths = create_app(cast("GraphAnalyzer", None), GraphSettings()).openapi()["paths"]
    named = re.findall(rf"^\| `({METHODS}) (/[\w/{{}}.-]*)` \|", read("docs/gallery.md"), re.MULTILINE)

    asked = {(method.upper(), path) for path in _paths("gallery") for method in paths[path]}
    assert asked - {*named} == {("DELETE", "/v1/galleries/{gallery}/speakers/{speaker}/opt-out")}
    assert {*named} <= asked


def _paths(tag: str | None = None) -> list[str]:
    """The paths of a tag; None: those of docs/api.md, all but those that have a page of their own."""
    paths = create_app(cast("GraphAnalyzer", None), GraphSettings()).openapi()["paths"]
    tags = {path: next(iter(each.values()))["tags"] for path, each in paths.items()}
    return [path for path in paths if (tag in tags[path] if tag else not OWN_PAGES & {*tags[path]})]


def test_the_page_of_the_models_is_the_table_of_checkpoints() -> None:
    page = read("docs/models.md")

    for row in (*CHECKPOINTS.values(), *FAMILIES.values(), *STARTER_CHECKPOINTS.values()):
        for repository in (row, *row.parts.values()):
            assert repository.hub_id in page
            assert repository.revision in page


def test_the_page_of_the_recordings_is_the_table_of_formats() -> None:
    rows = [f"| {entry.title} | {entry.codecs} |" for entry in FORMATS.values()]

    assert "\n".join(rows) in read("docs/recordings.md")
    assert list(FORMATS) == list(Container)


def test_every_test_that_the_page_of_attacks_names_exists() -> None:
    named = re.findall(r"`([^`\s]+\.py)::(\w+)`", read("docs/security-tests.md"))

    def functions(file: str) -> set[str]:
        nodes = ast.walk(ast.parse(read(file)))
        return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    defined = {file: functions(file) for file in {file for file, _ in named}}
    assert len(named) > 100
    assert [f"{file}::{name}" for file, name in named if name not in defined[file]] == []


def test_every_attack_of_the_page_has_what_holds_it_and_a_test() -> None:
    rows = [
        line.split(" | ") for line in read("docs/security-tests.md").splitlines() if line.startswith("| ")
    ]
    attacks = [row for row in rows if row[0] != "| attack"]

    assert len(attacks) > 40
    assert [row for row in attacks if len(row) != 3 or "::test_" not in row[2]] == []


def test_every_setting_with_a_limit_is_on_the_page_of_operations() -> None:
    from config.settings import AudioLimits, BatchTunables, GraphStateTunables, IngressTunables

    page = read("docs/operations.md")
    settings = (AudioLimits, BatchTunables, GraphStateTunables, IngressTunables)

    assert [name for model in settings for name in model.model_fields if name not in page] == []


def test_every_metric_is_on_the_page_of_operations() -> None:
    from metric_names import exported

    names = {re.sub(r"^ray_|_(total|bucket|sum|count)$", "", name) for name in exported(ROOT / "deployments")}
    table = re.findall(r"`(voxgraph_\w+)`", read("docs/operations.md"))

    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in names} == set(table)


def test_every_folder_with_python_has_a_row_in_the_readme() -> None:
    folders = {path.parent.name for path in ROOT.glob("[a-z]*/*.py")}

    assert [folder for folder in sorted(folders) if f"[{folder}/]" not in README] == []


def test_the_changelog_begins_with_the_version() -> None:
    first = re.search(r"^## \[?([\d.]+)", read("CHANGELOG.md"), re.MULTILINE)

    assert first is not None
    assert first.group(1) == voxgraph.__version__


def test_the_locks_name_no_host_and_pin_everything_by_hash() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text, path
        assert "--index-url" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
