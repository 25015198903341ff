"""Mutated requests are refused or answered: none makes the application fail, hang or grow."""

import fuzzing

MAX_GROWTH_MB = 200


async def test_five_hundred_mutations_are_answered() -> None:
    report = await fuzzing.run(500, seed=1)

    assert report.problems == []
    assert sum(report.answers.values()) == 500
    assert {name.split()[0] for name in report.answers} == {"JSON", "form", "headers", "pickle", "recording"}
    before, after = report.memory_mb
    assert after - before < MAX_GROWTH_MB
