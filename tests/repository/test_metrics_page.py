"""docs/metrics.md names each metric that a test can give, and none that it cannot."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from kedrec.commands.report.graph_tables import STRICT_LABELS
from kedrec.commands.report.student_tables import AUDIT_LABELS
from kedrec.evaluation import citation_support
from kedrec.evaluation.audit_metrics import unknown_to_base
from kedrec.evaluation.citation_support import citation_support_metrics
from kedrec.evaluation.student_metrics import student_metrics, summary_metrics
from kedrec.mimic.drug_set_metrics import DrugSets, drug_set_metrics, heuristic_metrics, prescribed_metrics
from tests.support.command_process import REPOSITORY
from tests.support.untrained_graph_model import untrained_graph_model
from tests.support.written_runs import questions

PAGE = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
STUDENT_PARTS = (
    "The choice of the drug (students)",
    "Heuristic baselines (students)",
    "Robustness audits (students)",
    "The rationale (students)",
    "Confidence (students)",
)
GRAPH_PARTS = ("Link prediction (graph models)", "Choice and recommendation (graph models)")


def tables(part):
    """The tables under a heading: of each its header and its rows of cells, code marks taken off the first cell."""
    section = PAGE.split(f"## {part}\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"(?:^\|.*\|\n?)+", section, re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in block.splitlines()]
        found.append((header, [[row[0].strip("`| "), *row[1:]] for row in rows]))
    return found


def names(part, number=0):
    return [row[0] for row in tables(part)[number][1]]


def bare(metrics):
    """The names of metrics, without those of their intervals."""
    return {name for name in metrics if not re.search(r"_(low|high)$", name)}


@pytest.fixture
def student_names(monkeypatch):
    """The names that a student's test can give, from answers made up."""
    rows = questions(wrong=(0,), pairs=40, stated=True)
    for row in rows:
        row["heuristics"] |= {"most_frequent_drug": [1.0, 0.0], "literature_count": [1.0, 0.0]}
        row["heuristics"] |= {"embeddings": [1.0, 0.0]} if row["pair"].startswith("Disease::D1") else {}
    again = {
        audit: questions(pairs=40, stated=True)
        for audit in ("without_stated_answers", "passages_exchanged", "names_masked", "validation")
    }
    again["closed_book"] = [{**row, "passages": [], "texts": []} for row in questions(wrong=(1,), pairs=40)]
    audited = [{**row, "audit": audit} for audit, asked in again.items() for row in asked]
    monkeypatch.setattr(citation_support, "similarity_threshold", lambda *_: 0.3)
    encoder = SimpleNamespace(
        encode=lambda texts: np.ones((len(texts), 2)), encode_queries=lambda texts: np.ones((len(texts), 2))
    )
    nli = SimpleNamespace(probabilities=lambda pairs: np.ones(len(pairs)))
    return bare(
        {
            **student_metrics(rows, audited),
            **unknown_to_base(rows, rows, audited),
            **citation_support_metrics(rows, encoder, nli),
        }
    )


def test_each_metric_of_a_student_is_on_the_page_and_no_other(student_names):
    page = [name for part in STUDENT_PARTS for name in names(part)]
    assert len(page) == len(set(page))
    assert set(page) == student_names


def test_the_table_that_closes_a_run_is_explained(student_names):
    closing = summary_metrics({f"test/{name}": 0.5 for name in student_names if not name.startswith("heuristic_emb")})
    listed = names("The table at the end of a student's run")
    assert len(listed) == 8
    assert [
        re.fullmatch(one.replace("NAME", r"\w+"), name) is not None for one, name in zip(listed, closing, strict=True)
    ]
    assert [one for one in listed if "NAME" not in one] == [*closing[:2], *closing[3:]]


def graph_page_names():
    """The names that the page puts together of test sets, candidates and measures, as patterns."""
    sets, candidates, measures = (names(GRAPH_PARTS[0], number) for number in range(3))
    patterns = [f"{test}/diseases" for test in sets] + [f"{test}/n" for test in sets]
    for test in sets:
        for where in candidates:
            place = re.escape(where).replace("RELATION", ".+").replace("BUCKET", "(0|1-9|10-99|100-999|1000\\+)")
            ends = "(_sd|_expected)?" if where.startswith("lladr_") else ""
            patterns += [f"{test}/{place}/{re.escape(measure)}{ends}" for measure in measures]
    return [*patterns, *map(re.escape, names(GRAPH_PARTS[1]))]


@pytest.fixture(scope="module")
def graph_names(tmp_path_factory, store):
    folder = tmp_path_factory.mktemp("tested")
    found = {**untrained_graph_model(folder)[0], **untrained_graph_model(folder, with_pairs=True)[0]}
    return {name.removeprefix("test/") for name in bare(found)}


def test_each_metric_of_a_graph_model_is_on_the_page(graph_names):
    patterns = [re.compile(pattern) for pattern in graph_page_names()]
    assert [name for name in sorted(graph_names) if not any(one.fullmatch(name) for one in patterns)] == []


def test_each_part_of_a_graph_models_names_exists(graph_names):
    sets, candidates, measures = (names(GRAPH_PARTS[0], number) for number in range(3))
    assert {name.partition("/")[0] for name in graph_names if "/" in name} == {*sets, "repurposing"}
    assert {name.rpartition("/")[2].removesuffix("_sd").removesuffix("_expected") for name in graph_names} == {
        *measures, "diseases", *(name.rpartition("/")[2] for name in names(GRAPH_PARTS[1]))
    }  # fmt: skip
    for where in candidates:
        place = "/" + where.partition("RELATION")[0].partition("BUCKET")[0].rstrip("/") + "/"
        assert any(place in name for name in graph_names), where
    assert set(names(GRAPH_PARTS[1])) <= graph_names


def test_each_metric_of_drug_sets_is_on_the_page_and_no_other():
    true = np.eye(4, dtype=bool)[[0, 1, 2, 3] * 3] | np.eye(4, dtype=bool)[[1, 2, 3, 0] * 3]
    sets = DrugSets(np.repeat(np.arange(6), 2), true, true, np.zeros(12, dtype=int), true.astype(float))
    interactions = ~np.eye(4, dtype=bool)
    found = bare(
        {
            **drug_set_metrics(sets, interactions),
            **prescribed_metrics(sets, interactions),
            **heuristic_metrics(sets, np.full(4, 0.5), 2.0, interactions),
        }
    )
    rules = {name.partition("/")[0] for name in found if "/" in name}
    plain = {name for name in found if "/" not in name} | {f"{rule}/NAME" for rule in rules}
    assert set(names("Drug sets (SafeDrug on MIMIC)")) == plain | {"visits", "patients"}
    described = next(
        row[1] for row in tables("Drug sets (SafeDrug on MIMIC)")[0][1] if row[0].endswith("frequent/NAME")
    )
    assert set(re.findall(r"`(\w+)`", described)) == {
        name.partition("/")[2] for name in found if name.startswith("heuristic_most_frequent/")
    }


def test_labels_are_those_of_the_report():
    labels = {label: name for group in AUDIT_LABELS.values() for name, label in group.items()}
    page = {row[4].strip("| "): row[0] for part in STUDENT_PARTS for row in tables(part)[0][1] if row[4].strip("| ")}
    assert page == labels
    strict = {row[1]: row[0] for row in tables(GRAPH_PARTS[0])[3][1]}
    strict |= {row[4].strip("| "): row[0] for row in tables(GRAPH_PARTS[1])[0][1] if row[4].strip("| ")}
    assert strict == {label: name.removeprefix("test/") for label, name in STRICT_LABELS.items()}


@pytest.mark.parametrize("part", [*STUDENT_PARTS, *GRAPH_PARTS, "Drug sets (SafeDrug on MIMIC)"])
def test_tables_are_whole(part):
    for header, rows in tables(part):
        assert {len(row) for row in rows} == {len(header)}
