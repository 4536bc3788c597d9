"""Rules that choose without reading: what they count, and that they do not count the answer."""

import numpy as np
import pytest

from kedrec.graph.knowledge_graph import load_graph
from kedrec.kedrec_lm.heuristic_baselines import embeddings_baseline, heuristic_baselines
from kedrec.splits.pairs import Pair
from kedrec.storage.artifact_store import Store

TREATS = "DRUGBANK::treats::Compound:Disease"


@pytest.fixture
def graph(tmp_path):
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
    return load_graph(tmp_path, Store(tmp_path / "store"))


@pytest.fixture
def baselines(graph):
    pairs = [
        Pair("Disease::2", "Compound::a", "Compound::b", "train", True, ""),
        Pair("Disease::3", "Compound::a", "Compound::c", "train", True, ""),
        Pair("Disease::1", "Compound::c", "Compound::b", "test", True, ""),
    ]
    return heuristic_baselines(graph, [TREATS], pairs, {"Compound::c": 4}.__getitem__)


@pytest.mark.parametrize(
    ("name", "scores"),
    [("degree", {"a": 1, "b": 2, "c": 0}), ("most_frequent_drug", {"a": 2, "b": 0, "c": 0})],
)
def test_edges_but_therapeutic_ones_and_answers_of_the_training_split_are_counted(baselines, name, scores):
    assert {drug: baselines[name]("Disease::1", f"Compound::{drug}") for drug in scores} == scores


def test_passages_are_counted_and_a_drug_that_the_graph_lacks_has_no_edges(baselines):
    assert baselines["literature_count"]("Disease::1", "Compound::c") == 4
    assert baselines["degree"]("Disease::1", "Compound::unknown") == 0


class Scores:
    """Embeddings that score a drug by its letter, trained on all but one treatment."""

    held_out = frozenset({("Compound::a", TREATS, "Disease::2"), ("Compound::c", TREATS, "Disease::1")})

    def score(self, drug, relations, disease):
        assert relations == [name for name in (TREATS, "Hetionet::CtD::Compound:Disease") if name in relations]
        return float("abc".index(drug[-1]))


def test_embeddings_are_silent_of_what_they_were_trained_on(graph):
    rule = embeddings_baseline(Scores(), graph, [TREATS], np.arange(len(graph.entities), dtype=np.int32))
    assert rule("Disease::2", "Compound::a") == 0
    assert rule("Disease::2", "Compound::c") == 2
    assert rule("Disease::1", "Compound::a") is None
    assert rule("Disease::1", "Compound::c") is None


def test_what_they_were_trained_on_under_another_id_counts(graph):
    kept = np.arange(len(graph.entities), dtype=np.int32)
    kept[graph.entities.index("Disease::3")] = graph.entities.index("Disease::2")
    rule = embeddings_baseline(Scores(), graph, [TREATS], kept)
    assert rule("Disease::2", "Compound::a") is None
    assert rule("Disease::3", "Compound::a") is None  # asked by the id that does not stand for both
