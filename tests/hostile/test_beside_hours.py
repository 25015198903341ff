"""A clip of a second beside four hours of which the same is asked."""

from statistics import quantiles

import pytest
from launched import Launched
from slowness import measured_until_it_holds

from benchmarks.beside import QUESTIONS, asking, latencies_s, long_recording


@pytest.mark.parametrize("question", sorted(QUESTIONS))
def test_a_clip_has_its_turn_beside_four_hours_of_the_same_question(service: Launched, question: str) -> None:
    alone: list[float] = []

    def measure() -> tuple[None, float, float]:
        alone.extend(latencies_s(service.url, question, 2.0))
        # The clients of the hours leave at the end, which ends their work.
        with asking(service.url, question, [long_recording(4.0, None)]) as statuses:
            beside = latencies_s(service.url, question, 6.0)
        print(f"\n{question}: {p99_s(alone):.3f} s alone, {p99_s(beside):.3f} s beside hours; {statuses}")
        return None, p99_s(alone), p99_s(beside)

    measured_until_it_holds(measure)


def p99_s(latencies: list[float]) -> float:
    return quantiles(latencies, n=100, method="inclusive")[98]
