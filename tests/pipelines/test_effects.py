"""Effects on the whole process are in one folder, which says so."""

import re

from launched import ROOT

VENDORED = ROOT / "pipelines" / "vendored"
EFFECTS = re.compile(
    r"sys\.modules\[[^]]+\] *=|del sys\.modules|sys\.modules\.(setdefault|update|pop)\("
    r"|os\.environ\[[^]]+\] *=|os\.(putenv|unsetenv|setpriority|sched_setscheduler|nice)\("
    r"|os\.environ\.(setdefault|update|pop)\("
    r"|torch\.(backends\.\S+ *=|set_\w+\(|use_deterministic)"
)


def test_only_vendored_has_effects_on_the_whole_process() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "pipelines").rglob("*.py"))
        if VENDORED not in path.parents
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if EFFECTS.search(line)
    ]

    assert found == []


def test_the_pattern_finds_the_effects_that_are_there() -> None:
    text = "\n".join(path.read_text() for path in VENDORED.rglob("*.py"))

    assert len(EFFECTS.findall(text)) >= 4
