"""Run folders written before modules moved and keys were renamed: they evaluate, report and recommend."""

import json
import shutil
from pathlib import Path

import pytest

from kedrec import evaluate, recommend, report
from kedrec.commands.report.reported_runs import find_runs
from kedrec.training.loaded_run import open_run
from tests.support.command_process import REPOSITORY

OLD_RUNS = Path(__file__).parent / "old_runs"


@pytest.fixture
def old_runs(tmp_path, tiny_base, tiny_encoder_folder, store):
    """Copies of a student's run and a KGE's run, as they were written, whose settings name files of this machine."""
    copies = shutil.copytree(OLD_RUNS, tmp_path / "runs")
    for path in copies.rglob("*"):
        if path.suffix in (".yaml", ".json", ".md", ".jsonl"):
            text = path.read_text()
            for name, place in {
                "@SAMPLE@": REPOSITORY / "kedrec" / "sample",
                "@BASE@": tiny_base,
                "@ENCODER@": tiny_encoder_folder,
                "@RUN@": path.relative_to(copies).parts[0],
            }.items():
                text = text.replace(name, str(place))
            path.write_text(text)
    return copies


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def evaluated(folder):
    """The folder of a test that is done again."""
    assert evaluate.main([str(folder)]) == 0
    (place,) = (folder / "evaluations").iterdir()
    return place


def test_the_runs_have_old_names_in_their_settings():
    texts = [(OLD_RUNS / name / "config.yaml").read_text() for name in ("student", "kge")]
    assert "kedrec.models.student.Student" in texts[0]
    assert "kedrec.models.kge.KGE" in texts[1]


def test_an_old_student_answers_the_same_test_alike(old_runs, capsys):
    place = evaluated(old_runs / "student")
    own, numbers = open_run(old_runs / "student").metrics, json.loads((place / "metrics.json").read_text())
    assert {name for name in own if name.startswith("test/")} <= numbers.keys()
    assert numbers["test/heuristic_degree"] == own["test/heuristic_degree"]
    assert "control" not in capsys.readouterr().out
    before, after = rows(old_runs / "student" / "predictions.jsonl"), rows(place / "predictions.jsonl")
    assert len(after) == len(before) > 0
    for old, new in zip(before, after, strict=True):
        assert (new["pair"], new["drugs"], new["passages"]) == (old["pair"], old["drugs"], old["passages"])
        assert new["scores"] == pytest.approx(old["scores"], abs=0.05)  # another processor rounds otherwise


def test_metrics_and_fields_of_an_old_student_have_their_present_names(old_runs):
    before = json.loads((old_runs / "student" / "metrics.json").read_text())
    ((run,), _) = find_runs([old_runs / "student"])
    assert len(run.metrics) == len(before)
    for old, new in (
        ("base/control_degree_low", "base/heuristic_degree_low"),
        ("test/control_agreement", "test/agreement_with_nearest_passage"),
        ("test/citing", "test/citing_rationales"),
        ("test/faithful_reference", "test/all_citations_supported_reference"),
    ):
        assert run.metrics[new] == before[old]
        assert old not in run.metrics
    old = rows(old_runs / "student" / "predictions.jsonl")
    for present in (run.rows("predictions.jsonl"), run.finished.predictions()):
        assert [row["heuristics"] for row in present] == [row["controls"] for row in old]
        assert [row["answer_stating_passages"] for row in present] == [row["telling"] for row in old]


def test_an_old_kge_ranks_the_same_test_alike(old_runs):
    place = evaluated(old_runs / "kge")
    before, after = (json.loads((one / "metrics.json").read_text()) for one in (old_runs / "kge", place))
    assert set(after) == set(before)
    for name in ("test/pairs/all/mrr", "test/pairs/typed/mrr", "test/diseases/all/mr"):
        assert after[name] == pytest.approx(before[name], rel=0.01)


def test_old_runs_are_reported(old_runs, tmp_path):
    assert report.main([str(old_runs), f"--to={tmp_path / 'report'}"]) == 0
    page = next((tmp_path / "report").glob("*.html")).read_text()
    assert "TransE + LLaDR" in page
    assert "KEDRec-LM" in page
    assert "heuristic baseline: drug with more edges" in page


def test_old_runs_recommend_and_explain(old_runs, tmp_path):
    answer = tmp_path / "answer.json"
    student = f"--student={old_runs / 'student'}"
    assert recommend.main([str(old_runs / "kge"), "asthma", student, "--explain=1", f"--json={answer}"]) == 0
    found = json.loads(answer.read_text())
    assert len(found["recommendations"]) == 10
    assert found["student"]["path"] == str(old_runs / "student")
