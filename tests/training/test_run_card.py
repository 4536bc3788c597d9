"""The tables of a run's metrics: the few that close it, and all."""

import json

from kedrec.evaluation.student_metrics import student_metrics
from kedrec.kedrec_lm.student import Student
from kedrec.training.base_classes import TrainableModule
from kedrec.training.evaluation_trainer import show
from kedrec.training.run_card import metric_names, tables
from tests.support.written_runs import questions


def metrics():
    """A student's metrics, of both models; degree is the better of the baselines beside the nearest passage."""
    rows = questions(wrong=(0, 1), pairs=40)
    for number, row in enumerate(rows):
        row["heuristics"] = {
            "nearest_passage": [1.0, 2.0],
            "literature_count": [2.0, 2.0],
            "degree": [float(row["correct"] == 0), float(row["correct"] == 1)],
        }
        if number % 2:
            row["heuristics"]["embeddings"] = row["heuristics"]["degree"]
    audits = [{**row, "audit": audit} for audit in ("passages_exchanged", "validation") for row in questions(pairs=40)]
    trained = {f"test/{name}": value for name, value in student_metrics(rows, audits).items()}
    return {f"base/{name}": value for name, value in student_metrics(rows, []).items()} | trained


def test_a_student_closes_with_eight_metrics():
    found = metrics()
    names = Student("smollm2").closing_metrics(found)
    assert names == [
        "f1",
        "heuristic_nearest_passage",
        "heuristic_degree",
        "flip_rate",
        "evidence_sensitivity",
        "rougeL",
        "citation_support",
        "ece",
    ]
    ((header, rows),) = tables(found, names)
    assert header == ["metric", "base", "trained"]
    assert [row[0] for row in rows] == names
    cells = dict(zip(names, rows, strict=True))
    assert cells["f1"][2] == f"{found['test/f1']:.3f} ({found['test/f1_low']:.3f}-{found['test/f1_high']:.3f})"
    assert cells["evidence_sensitivity"][1] == ""


def test_a_baseline_without_an_answer_for_some_pairs_is_not_the_best_one():
    found = metrics()
    found |= {"test/heuristic_embeddings": 1.0, "test/heuristic_embeddings_pairs": 4.0, "test/heuristic_degree": 0.9}
    assert "heuristic_embeddings" not in Student("smollm2").closing_metrics(found)


def test_metrics_that_the_test_does_not_have_are_left_out():
    assert Student("smollm2").closing_metrics({"test/f1": 0.5, "test/f1_low": 0.4, "test/pairs": 3.0}) == ["f1"]


def test_a_module_that_chooses_none_closes_with_all():
    found = {"test/jaccard": 0.5, "test/jaccard_low": 0.4, "test/drugs": 3.0, "test/pairs/all/mrr": 0.1}
    assert TrainableModule().closing_metrics(found) == metric_names(found) == ["jaccard", "drugs"]


def test_the_table_of_ranks_is_shown_in_any_case_and_a_line_names_the_file(tmp_path, capsys):
    found = {"test/choice_f1": 0.5, "test/jaccard": 0.25, "test/pairs/all/mrr": 0.125, "test/pairs/all/hits@10": 0.5}
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    show(found, tmp_path, ["jaccard"])
    printed = capsys.readouterr().out
    assert "choice_f1" not in printed
    assert all(shown in printed for shown in ("jaccard", "0.250", "ranking", "mrr", "0.125"))
    assert printed.splitlines()[-2:] == [
        f"all metrics: {tmp_path / 'metrics.json'}, defined in docs/metrics.md",
        f"run folder: {tmp_path}",
    ]


def test_without_a_choice_all_metrics_are_shown():
    found = {"test/f1": 0.5, "test/accuracy": 0.5, "base/f1": 0.25}
    assert [row[0] for row in tables(found)[0][1]] == ["f1", "accuracy"]
