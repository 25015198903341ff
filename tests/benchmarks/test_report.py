"""The tables of the benchmark report."""

import pytest

from benchmarks.load import Outcome, RequestKind
from benchmarks.report import Result, Side, page, speed_rows, table
from benchmarks.workloads import Workload

REQUEST = RequestKind("/diarize", 300.0)
STOCK = RequestKind("/diarize", 60.0)


def outcome(kind: RequestKind, *seconds: float) -> Outcome:
    return Outcome(len(seconds), sum(seconds), {kind: list(seconds)})


def test_a_ratio_is_the_median_of_the_ratios_within_a_round() -> None:
    workload = Workload("w", (), (REQUEST,), 1, 2)
    rounds = {
        Side.NAIVE: [outcome(REQUEST, seconds) for seconds in (4.0, 4.0, 40.0)],
        Side.GRAPH: [outcome(REQUEST, seconds) for seconds in (2.0, 1.0, 2.0)],
    }

    assert Result(workload, rounds).ratio(Side.GRAPH, Side.NAIVE, REQUEST) == pytest.approx(4.0)


def test_a_stock_recording_is_scaled_by_windows_and_marked() -> None:
    workload = Workload("diarization", (), (REQUEST,), 1, 1, stock=STOCK)
    rounds = {Side.NAIVE: [outcome(STOCK, 51.0)], Side.GRAPH: [outcome(REQUEST, 29.1)]}
    result = Result(workload, rounds)

    # 291 windows of 10 s with a hop of 1 s, instead of 51.
    assert result.percentile(Side.NAIVE, REQUEST, 50) == pytest.approx(291.0)
    assert result.ratio(Side.GRAPH, Side.NAIVE, REQUEST) == pytest.approx(10.0)
    assert speed_rows(result)[0][1] == "naive (scaled)"
    assert "60 s instead of 300 s" in page([result], [], 1)


def test_each_kind_of_request_has_its_own_row() -> None:
    short, long = RequestKind("/short", 3.0), RequestKind("/long", 60.0)
    workload = Workload("mixed", (), (short, short, long), 1, 3)
    both = Outcome(3, 2.0, {short: [0.1, 0.3], long: [1.6]})

    rows = speed_rows(Result(workload, {Side.GRAPH: [both]}))

    assert [row[0] for row in rows] == ["mixed /short 3 s", "mixed /long 60 s"]
    assert [row[3] for row in rows] == ["1", "0.5"]


def test_failed_requests_are_listed() -> None:
    failed = Outcome(2, 1.0, {REQUEST: [1.0]}, ["503 full"])

    assert "1 of 2: 503 full" in page(
        [Result(Workload("w", (), (REQUEST,), 1, 2), {Side.GRAPH: [failed]})], [], 1
    )


def test_a_table_has_a_line_per_row() -> None:
    assert table(["a", "b"], [["long", "1"]]).splitlines() == [
        "| a    | b |",
        "| ---- | --- |",
        "| long | 1 |",
    ]
