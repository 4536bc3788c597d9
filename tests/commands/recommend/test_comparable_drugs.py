"""What a drug is compared with: like it, about as well known, and not recommended itself."""

import pytest

from kedrec.commands.recommend.comparable_drugs import comparable_drugs
from kedrec.commands.recommend.drug_ranking import Candidate
from kedrec.graph.knowledge_graph import load_graph
from kedrec.storage.artifact_store import Store
from tests.support.known_distances_run import TREATS, write_graph

LIKE = [(f"Compound::{drug}", "S::binds", f"Gene::{gene}") for drug in "abcdef" for gene in range(3)]
FAR = [(f"Compound::{drug}", "S::binds", f"Gene::{gene}") for drug in "xyz" for gene in range(7, 10)]
OTHERS = [(f"Compound::{drug}", TREATS, "Disease::other") for drug in "abcdfxyz"]  # e treats nothing
OWN = [("Compound::b", TREATS, "Disease::d")]
POPULAR = [("Compound::c", "S::binds", f"Gene::own{number}") for number in range(40)]


@pytest.fixture
def graph(tmp_path):
    return load_graph(write_graph(tmp_path / "graph", [*LIKE, *FAR, *OTHERS, *OWN, *POPULAR]), Store(tmp_path / "s"))


def ranked(order, known=("b",)):
    return [
        Candidate(f"Compound::{drug}", rank, rank, rank, -rank, TREATS, "training" if drug in known else None)
        for rank, drug in enumerate(order, start=1)
    ]


def test_the_like_one_that_is_as_well_known_and_not_recommended(graph):
    named = {f"Compound::{drug}" for drug in "abcdefxyz"}
    order = ranked("a" + "x" + "bcdeyzf" + "123456789"[:9])  # of 18 the first is in the first tenth
    assert comparable_drugs(graph, [TREATS], order, ["Compound::a"], named) == {"Compound::a": "Compound::d"}
    without = named - {"Compound::d"}
    assert comparable_drugs(graph, [TREATS], order, ["Compound::a"], without) == {"Compound::a": "Compound::f"}


def test_one_that_is_recommended_too_is_no_alternative(graph):
    named = {f"Compound::{drug}" for drug in "ad"}
    order = ranked("d" + "a" + "bcefxyz" + "123456789" * 2)  # d is in the first tenth
    assert comparable_drugs(graph, [TREATS], order, ["Compound::a"], named) == {}


def test_a_graph_in_which_no_drug_is_like_another_has_none(tmp_path):
    triples = [("Compound::a", TREATS, "Disease::d"), ("Compound::b", TREATS, "Disease::e")]
    alone = load_graph(write_graph(tmp_path / "graph", triples), Store(tmp_path / "store"))
    named = {"Compound::a", "Compound::b"}
    assert comparable_drugs(alone, [TREATS], ranked("ba", known=()), ["Compound::a"], named) == {}
