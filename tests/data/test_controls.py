"""Rules that choose without reading: what they count, and that they do not count the answer."""

import pytest

from kedrec.data.controls import blind_controls
from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.pairs import Pair
from kedrec.store import Store

TREATS = "DRUGBANK::treats::Compound:Disease"


@pytest.fixture
def controls(tmp_path):
    edges = [
        ("Compound::a", TREATS, "Disease::1"),
        ("Compound::a", TREATS, "Disease::2"),
        ("Compound::a", TREATS, "Disease::3"),
        ("Compound::a", "binds", "Gene::1"),
        ("Compound::b", "binds", "Gene::1"),
        ("Gene::2", "binds", "Compound::b"),
        ("Compound::c", "Hetionet::CtD::Compound:Disease", "Disease::1"),
    ]
    (tmp_path / "triples.tsv").write_text("".join("\t".join(edge) + "\n" for edge in edges))
    graph = load_graph(tmp_path, Store(tmp_path / "store"))
    pairs = [
        Pair("Disease::2", "Compound::a", "Compound::b", "train", True, ""),
        Pair("Disease::3", "Compound::a", "Compound::c", "train", True, ""),
        Pair("Disease::1", "Compound::c", "Compound::b", "test", True, ""),
    ]
    return blind_controls(graph, [TREATS], pairs, {"Compound::c": 4}.__getitem__)


@pytest.mark.parametrize(
    ("name", "scores"),
    [("degree", {"a": 1, "b": 2, "c": 0}), ("most_frequent_drug", {"a": 2, "b": 0, "c": 0})],
)
def test_edges_but_therapeutic_ones_and_answers_of_the_training_split_are_counted(controls, name, scores):
    assert {drug: controls[name]("Disease::1", f"Compound::{drug}") for drug in scores} == scores


def test_passages_are_counted_and_a_drug_that_the_graph_lacks_has_no_edges(controls):
    assert controls["literature_count"]("Disease::1", "Compound::c") == 4
    assert controls["degree"]("Disease::1", "Compound::unknown") == 0
