"""What a graph has against a drug: planted relations trip, and those that only resemble them do not."""

import pytest

from kedrec.commands.recommend.objections import graph_objections
from kedrec.graph.knowledge_graph import load_graph
from kedrec.storage.artifact_store import Store
from tests.support.known_distances_run import TREATS, write_graph

NAMES = {
    "Compound::a": ("Alpha",),
    "Disease::d": ("Ache", "Great Ache"),
    "Side Effect::1": ("great ache",),
    "Side Effect::2": ("Rash",),
    "Side Effect::3": ("Cough",),
    "Symptom::1": ("rash",),
    "Symptom::2": ("Fever",),
}
EFFECT, PRESENTS = "Hetionet::CcSE::Compound:Side Effect", "Hetionet::DpS::Disease:Symptom"
CLEAN = [
    ("Compound::a", TREATS, "Disease::d"),
    ("Compound::a", EFFECT, "Side Effect::3"),
    ("Disease::d", PRESENTS, "Symptom::2"),
    ("Compound::b", "PrimeKG::contraindication::Compound:Disease", "Disease::d"),
    ("Compound::a", "PrimeKG::contraindication::Compound:Disease", "Disease::e"),
    ("Compound::a", "GNBR::Sa::Compound:Disease", "Disease::e"),
]


def told(tmp_path, *planted):
    graph = load_graph(write_graph(tmp_path / "graph", [*CLEAN, *planted]), Store(tmp_path / "store"))
    found = graph_objections(graph, lambda entity: NAMES.get(entity, (entity,)), "Compound::a", "Disease::d")
    return [(one.kind, one.text, one.source) for one in found]


def test_nothing_speaks_against_a_clean_drug(tmp_path):
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("planted", "kind", "text"),
    [
        (("Compound::a", "PrimeKG::Contraindicated_in::CD", "Disease::d"), "contraindication", "Alpha is contrai"),
        (("Disease::d", "X::contraindication::Disease:Compound", "Compound::a"), "contraindication", "in Ache."),
        (("Compound::a", "GNBR::Sa::Compound:Disease", "Disease::d"), "causes_disease", "adverse event of Alpha"),
        (("Compound::a", EFFECT, "Side Effect::1"), "causes_disease", "Ache is among the side effects of Alpha"),
    ],
)
def test_a_planted_relation_trips(tmp_path, planted, kind, text):
    ((found, words, source),) = told(tmp_path, planted)
    assert found == kind
    assert text in words
    assert source == planted[1]


def test_side_effects_that_are_symptoms_are_named_together(tmp_path):
    shared = [("Compound::a", EFFECT, "Side Effect::2"), ("Disease::d", PRESENTS, "Symptom::1")]
    ((kind, text, _),) = told(tmp_path, *shared)
    assert kind == "causes_symptom"
    assert text == "Side effects of Alpha include symptoms of Ache: Rash."
    assert told(tmp_path / "one", shared[0]) == []


def test_contraindications_come_first(tmp_path):
    effect = ("Compound::a", EFFECT, "Side Effect::1")
    contra = ("Compound::a", "X::contraindication::CD", "Disease::d")
    assert [kind for kind, _, _ in told(tmp_path, effect, contra)] == ["contraindication", "causes_disease"]
