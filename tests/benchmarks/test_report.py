"""The tables of the benchmarks."""

import pytest

from benchmarks.load import Ask, Outcome
from benchmarks.report import Result, Side, page, speed_rows, table
from benchmarks.workloads import Workload

ASK = Ask("/diarize", 300.0)
STOCK = Ask("/diarize", 60.0)


def outcome(ask: Ask, *seconds: float) -> Outcome:
    return Outcome(len(seconds), sum(seconds), {ask: list(seconds)})


def test_a_ratio_is_the_median_of_the_rounds_pairs() -> None:
    workload = Workload("w", (), (ASK,), 1, 2)
    rounds = {
        Side.NAIVE: [outcome(ASK, seconds) for seconds in (4.0, 4.0, 40.0)],
        Side.GRAPH: [outcome(ASK, seconds) for seconds in (2.0, 1.0, 2.0)],
    }

    assert Result(workload, rounds).ratio(Side.GRAPH, Side.NAIVE, ASK) == pytest.approx(4.0)


def test_a_stock_recording_is_scaled_by_windows_and_says_so() -> None:
    workload = Workload("diarization", (), (ASK,), 1, 1, stock=STOCK)
    rounds = {Side.NAIVE: [outcome(STOCK, 51.0)], Side.GRAPH: [outcome(ASK, 29.1)]}
    result = Result(workload, rounds)

    # 291 windows of 10 s, a second apart, instead of 51.
    assert result.percentile(Side.NAIVE, ASK, 50) == pytest.approx(291.0)
    assert result.ratio(Side.GRAPH, Side.NAIVE, ASK) == pytest.approx(10.0)
    assert speed_rows(result)[0][1] == "naive (scaled)"
    assert "60 s instead of 300 s" in page([result], [], 1)


def test_each_kind_of_request_has_its_own_row() -> None:
    short, long = Ask("/short", 3.0), Ask("/long", 60.0)
    workload = Workload("mixed", (), (short, short, long), 1, 3)
    both = Outcome(3, 2.0, {short: [0.1, 0.3], long: [1.6]})

    rows = speed_rows(Result(workload, {Side.GRAPH: [both]}))

    assert [row[0] for row in rows] == ["mixed /short 3 s", "mixed /long 60 s"]
    assert [row[3] for row in rows] == ["1", "0.5"]


def test_failed_requests_are_named() -> None:
    failed = Outcome(2, 1.0, {ASK: [1.0]}, ["503 full"])

    assert "1 of 2: 503 full" in page(
        [Result(Workload("w", (), (ASK,), 1, 2), {Side.GRAPH: [failed]})], [], 1
    )


def test_a_table_has_a_line_per_row() -> None:
    assert table(["a", "b"], [["long", "1"]]).splitlines() == [
        "| a    | b |",
        "| ---- | --- |",
        "| long | 1 |",
    ]
