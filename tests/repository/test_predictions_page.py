"""docs/predictions.md names each field of a run's rows, and its code runs."""

import json
import re
from dataclasses import fields

import pytest

from kedrec.evaluation.choice_metrics import choice_metrics
from kedrec.kedrec_lm.question_batches import Question
from kedrec.kedrec_lm.robustness_audits import AUDITS
from tests.support.command_process import REPOSITORY
from tests.support.untrained_graph_model import untrained_graph_model
from tests.support.written_runs import questions

PAGE = (REPOSITORY / "docs" / "predictions.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def first_cells(part, number=0):
    """The names in the first column of a table under a heading."""
    section = PAGE.split(f"## {part}\n")[1].split("\n## ")[0]
    table = re.findall(r"(?:^\|.*\|\n?)+", section, re.MULTILINE)[number]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}


@pytest.fixture(scope="module")
def tested(tmp_path_factory, store):
    return untrained_graph_model(tmp_path_factory.mktemp("tested"))


def test_fields_of_a_students_rows_are_on_the_page():
    answered = {"scores", "choice", "rationale"}
    assert first_cells("Students: `predictions.jsonl`") == {field.name for field in fields(Question)} | answered
    assert first_cells("Students: `audits.jsonl`") == {*AUDITS, "validation"}


def test_fields_of_a_graph_models_rows_are_on_the_page(tested):
    _, predictions, ranks = tested
    assert first_cells("Graph models: `ranks.jsonl`") == ranks[0].keys()
    assert first_cells("Graph models: `predictions.jsonl`") == predictions[0].keys()
    assert first_cells("Graph models: `predictions.jsonl`", 1) == predictions[0]["compounds"][0].keys()
    assert {row["set"] for row in ranks} == {"pairs", "pairs_leak_free", "diseases", "diseases_leak_free"}


def run_code(code, rows, folder, capsys):
    (path,) = re.findall(r'"(runs/[^"]+)"', code)
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    exec(code.replace(path, str(file)), {})
    return capsys.readouterr().out


def test_accuracy_and_flip_rate_are_the_runs(tmp_path, capsys):
    rows = questions(wrong=(0, 3), pairs=8)
    for row in rows[-4:]:
        row["choice"] = 0  # the last two pairs flip
    expected = choice_metrics(rows)
    assert expected["flip_rate"] == 0.25
    told = run_code(CODE[0], rows, tmp_path, capsys)
    assert told == f"accuracy {expected['accuracy']:.3f}, flip rate {expected['flip_rate']:.3f}\n"


def test_the_mean_reciprocal_rank_is_the_runs(tested, tmp_path, capsys):
    metrics, _, ranks = tested
    told = dict(line.split() for line in run_code(CODE[1], ranks, tmp_path, capsys).splitlines()[1:-1])
    assert {name: float(value) for name, value in told.items()} == {
        name: pytest.approx(metrics[f"test/{name}/typed/mrr"], abs=1e-5) for name in told
    }
    assert len(told) == 4
