"""An evaluation of the fake graph, from the folder to the files of the report."""

import csv
import io
import json
from dataclasses import replace

import httpx2
import pytest
from PIL import Image
from rich.console import Console

from evaluation.errors import DataError, GraphError
from evaluation.report import Report
from evaluation.run import Options, evaluate, make_plan
from voxgraph.calibration import SpeakerCalibration
from voxgraph.errors import AudioTooShort, Overloaded
from voxgraph.options import TASKS
from voxgraph.results import GraphHealth, ModelInfo


async def report_on(client: httpx2.AsyncClient, folder, **options: object) -> Report:  # type: ignore[no-untyped-def]
    plan = make_plan(folder.path, Options(**options))  # type: ignore[arg-type]
    return await evaluate(client, plan, Console(file=io.StringIO()))


def figures(report: Report, task: str) -> dict[str, object]:
    return next(section.figures for section in report.sections if section.task == task)


async def test_every_question_with_labels_is_answered_and_evaluated(client, folder) -> None:
    folder.add_conversation("talk", 4.0)

    report = await report_on(client, folder)

    assert [section.task for section in report.sections] == list(TASKS)
    assert figures(report, "language")["right"] == 1.0
    assert figures(report, "speaker")["EER"] == 0.0
    assert figures(report, "speaker")["voices"] == 12
    assert figures(report, "accent")["AUC"] == 1.0
    assert figures(report, "deepfake")["AUC"] == 1.0
    assert figures(report, "deepfake")["real called ai_generated"] == 0.0
    assert figures(report, "diarization")["DER"] == pytest.approx(0.0, abs=1e-3)
    assert report.failures.rows == []


async def test_the_files_of_a_report_hold_every_answer_and_plots_that_open(
    client, folder, analyzer, tmp_path
) -> None:
    analyzer.noise = 3.0
    folder.add_conversation("talk", 4.0)

    (await report_on(client, folder)).write(tmp_path / "out")

    written = json.loads((tmp_path / "out" / "report.json").read_text())
    with (tmp_path / "out" / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(written["questions"]) == set(TASKS)
    assert len(rows) == 12 * 3 + 3 + 1
    assert {row["language"] for row in rows if row["lang"] == "de"} == {"de"}
    assert "# Evaluation" in (tmp_path / "out" / "report.md").read_text()
    plots = [name for question in written["questions"].values() for name in question["plots"]]
    assert len(plots) == 5
    for name in plots:
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.format == "PNG"
            assert len(set(picture.convert("L").tobytes())) > 2


async def test_figures_do_not_depend_on_the_number_of_requests_in_progress(client, folder) -> None:
    one, many = [
        await report_on(client, folder, only=("language", "deepfake"), concurrency=number)
        for number in (1, 7)
    ]

    assert one.json() == many.json()
    assert one.markdown() == many.markdown()


async def test_voices_of_two_encoders_are_counted_as_not_comparable(client, folder, analyzer) -> None:
    analyzer.spaces = ("a/b", "c/d")

    found = figures(await report_on(client, folder, only=("speaker",)), "speaker")

    assert found["one voice, not comparable"] == 0
    assert found["two voices, not comparable"] == 18 * 18
    assert found["pairs of two"] == 36 * 35 // 2 - 12 * 3 - 18 * 18


async def test_the_ratios_of_a_calibrated_encoder_are_measured(client, folder, analyzer) -> None:
    analyzer.noise = 3.0
    plain = figures(await report_on(client, folder, only=("speaker",)), "speaker")
    analyzer.calibration = SpeakerCalibration(20.0, -1.0)
    calibrated = figures(await report_on(client, folder, only=("speaker",)), "speaker")
    analyzer.calibration = SpeakerCalibration(0.001, 0.0)
    silent = figures(await report_on(client, folder, only=("speaker",)), "speaker")

    assert plain["Cllr"] is None
    assert calibrated["minCllr"] <= calibrated["Cllr"] < silent["Cllr"]
    assert silent["Cllr"] == pytest.approx(1.0, abs=1e-3)
    assert calibrated["Cllr 95 %"].low < calibrated["Cllr"] < calibrated["Cllr 95 %"].high


async def test_ratios_are_not_measured_if_one_of_two_encoders_is_not_calibrated(
    client, folder, analyzer
) -> None:
    analyzer.spaces = ("a/b", "c/d")
    analyzer.calibration = SpeakerCalibration(20.0, -1.0)

    report = await report_on(client, folder, only=("speaker",))

    assert figures(report, "speaker")["Cllr"] is None
    refitted = report.sections[0].tables[-1]
    assert [row[0] for row in refitted.rows] == ["a/b", "c/d"]


async def test_answers_of_models_that_were_not_there_at_first_are_told(client, folder, analyzer) -> None:
    analyzer.spaces = ("a/b", "other/graph")

    report = await report_on(client, folder, only=("speaker",))

    assert "18 embeddings are from other/graph at 1" in report.warnings[0]
    assert "mix sets of checkpoints" in report.markdown()
    assert report.json()["warnings"] == report.warnings


async def test_models_that_are_replaced_during_the_evaluation_are_told(client, folder, analyzer) -> None:
    old, new = [
        GraphHealth(models={"language": ModelInfo("language", "a/b", revision, "hub", "cpu", 7)})
        for revision in ("1", "2")
    ]
    healths = iter([old, new, old, old])

    async def health() -> GraphHealth:
        return next(healths)

    analyzer.health = health

    changed = await report_on(client, folder, only=("language",))
    same = await report_on(client, folder, only=("language",))

    assert changed.warnings == ["The model language changed during the evaluation."]
    assert same.warnings == []


async def test_a_question_that_fails_costs_no_answer_to_the_others(client, folder, analyzer) -> None:
    analyzer.errors = {"accent": AudioTooShort("The recording has too few seconds.")}

    report = await report_on(client, folder, only=("language", "accent"))

    assert [section.task for section in report.sections] == ["language"]
    assert report.failures.rows == [("accent", "audio_too_short: The recording has too few seconds.", 12)]
    assert figures(report, "language")["clips"] == 39


async def test_a_clip_that_is_refused_for_a_full_queue_is_asked_again(
    client, folder, analyzer, monkeypatch
) -> None:
    monkeypatch.setattr("evaluation.asking.RETRY_S", 0.001)
    answered, refusals = analyzer.analyze, iter([Overloaded("Full."), Overloaded("Full.")])

    async def analyze(*arguments: object, **options: object) -> object:
        for refusal in refusals:
            raise refusal
        return await answered(*arguments, **options)

    analyzer.analyze = analyze

    report = await report_on(client, folder, only=("language",))

    assert report.failures.rows == []


@pytest.mark.parametrize(("failures", "answers"), [(3, True), (4, False)])
async def test_a_connection_that_breaks_is_tried_again_a_few_times(
    client, folder, monkeypatch, failures: int, answers: bool
) -> None:
    monkeypatch.setattr("evaluation.asking.RETRY_S", 0.001)
    plan = make_plan(folder.path, Options(only=("language",), limit=1))
    request, broken = client.request, iter(range(failures))

    async def unreliable(method: str, path: str, **options: object) -> httpx2.Response:
        if path != "/health" and next(broken, None) is not None:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
        return await request(method, path, **options)

    monkeypatch.setattr(client, "request", unreliable)
    plan = replace(plan, clips=plan.clips[:1])

    if answers:
        report = await evaluate(client, plan, Console(file=io.StringIO()))
        assert figures(report, "language")["clips"] == 1
    else:
        with pytest.raises(GraphError, match="breaks off"):
            await evaluate(client, plan, Console(file=io.StringIO()))


async def test_a_graph_that_is_not_there_ends_the_evaluation_with_its_address(folder) -> None:
    async with httpx2.AsyncClient(base_url="http://127.0.0.1:9") as nobody:
        with pytest.raises(GraphError, match=r"127\.0\.0\.1:9 does not answer"):
            await report_on(nobody, folder)


async def test_another_service_is_not_taken_for_the_graph(folder) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"status": "fine"}))
    async with httpx2.AsyncClient(transport=transport, base_url="http://else") as other:
        with pytest.raises(GraphError, match="not a graph of this version"):
            await report_on(other, folder)


def test_a_folder_without_labels_for_the_questions_says_what_they_need(folder) -> None:
    folder.rows = [{"file": "0_0.wav", "lang": "en"}]
    folder.write()

    with pytest.raises(DataError, match="speaker needs speaker; diarization needs an RTTM file"):
        make_plan(folder.path, Options(only=("speaker", "diarization")))


def test_a_folder_of_conversations_needs_no_manifest(folder) -> None:
    (folder.path / "manifest.tsv").unlink()
    folder.add_conversation("talk", 4.0)

    plan = make_plan(folder.path, Options())

    assert (plan.clips, [each.file for each in plan.conversations]) == ([], ["talk.wav"])
