"""Diseases as people write them."""

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.graph.entity_lookup import Lookup
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.named_graph import spoken_names
from kedrec.graph.synonyms import canonical_rows
from kedrec.sources.graph.entity_names import EntityInfo

# Two that share a name to the letter, but for its case, are namesakes: one disease.
INFOS = {
    "Disease::DOID:10652": EntityInfo("Alzheimer's disease", (), ""),
    "Disease::MESH:D000544": EntityInfo("Alzheimer Disease", ("Alzheimer's Disease", "Dementia, Senile"), ""),
    "Disease::MESH:D003924": EntityInfo("Diabetes Mellitus, Type 2", ("NIDDM",), ""),
    "Disease::MESH:D003922": EntityInfo("Diabetes Mellitus, Type 1", ("IDDM",), ""),
    "Disease::MESH:D001943": EntityInfo("Breast Neoplasms", ("Breast Tumor", "Mamma Ca"), ""),
    "Disease::MESH:D058922": EntityInfo("Inflammatory Breast Neoplasms", ("mamma-ca",), ""),
    "Disease::MESH:D008575": EntityInfo("Ménière Disease", (), ""),
    "Disease::MESH:D029503": EntityInfo("Anemia, Diamond-Blackfan", ("Hypoplastic Congenital Anemia",), ""),
    "Disease::MESH:D029502": EntityInfo("Anemia, Hypoplastic, Congenital", (), ""),
    "Disease::OMIM:1": EntityInfo("Growth", (), ""),
    "Disease::OMIM:2": EntityInfo("Other", ("Growths",), ""),
    "Compound::DB1": EntityInfo("Asthma", (), ""),
}
ALZHEIMER = ["Disease::MESH:D000544", "Disease::DOID:10652"]


@pytest.fixture
def lookup():
    entities = list(INFOS)
    drug = entities.index("Compound::DB1")
    triples = np.array([[drug, 0, row] for row in range(4)], dtype=np.int32)
    graph = KnowledgeGraph(entities, ["S::treats"], triples, 0, 0, "")

    def names(entity):
        return spoken_names(entity, INFOS.get(entity))

    return Lookup(graph, names, canonical_rows(graph, names, ("Compound", "Disease")), "Disease")


@pytest.mark.parametrize(
    "asked",
    [
        "Alzheimer's disease",
        "alzheimer’s DISEASE",  # noqa: RUF001
        "Alzheimer\u2018s disease",
        "Alzheimer\u02bcs disease",
        "Alzheimer\u2032s disease",
        "Alzheimer\uff07s disease",
        "Alzheimer\u00b4s disease",
        "Alzheimer`s disease",
        "Alzheimer disease",
        "Disease, Alzheimer",
        "senile dementia",
        "Disease::MESH:D000544",
        "disease::doid:10652",
        "MESH:D000544",
        "DOID:10652",
        "D000544",
        " d000544 ",
    ],
)
def test_one_disease_under_many_names(lookup, asked):
    assert lookup.find(asked) == ALZHEIMER


def test_word_order_and_plurals_tell_nothing_apart(lookup):
    assert lookup.find("type 2 diabetes mellitus") == ["Disease::MESH:D003924"]
    assert lookup.find("breast neoplasm") == ["Disease::MESH:D001943"]


@pytest.mark.parametrize("asked", ["Ménière's disease", "Me\u0301nie\u0300re disease", "meniere disease"])
def test_accents_tell_nothing_apart_however_they_are_coded(lookup, asked):
    assert lookup.find(asked) == ["Disease::MESH:D008575"]


def test_a_long_question_is_not_repeated_whole(lookup):
    with pytest.raises(KedrecError) as fault:
        lookup.find("x" * 100_000)
    assert len(str(fault.value)) < 200


def test_the_order_of_words_tells_apart_what_nothing_else_does(lookup):
    assert lookup.find("Hypoplastic Congenital Anemia") == ["Disease::MESH:D029503"]
    assert lookup.find("anemia, hypoplastic, congenital") == ["Disease::MESH:D029502"]
    assert lookup.find("congenital anemia hypoplastic") == ["Disease::MESH:D029502"]  # a preferred name's words


def test_a_preferred_name_wins_over_a_synonym(lookup):
    assert lookup.find("growth") == ["Disease::OMIM:1"]


@pytest.mark.parametrize(
    ("asked", "listed", "not_listed"),
    [
        ("Mamma Ca", ["give an id", "Disease::MESH:D001943", "Disease::MESH:D058922"], ["D000544"]),
        ("diabetes", ["no disease", "Disease::MESH:D003922", "Type 1", "D003924", "(1 edges)"], ["D000544"]),
        ("alzhimer", ["no disease", "Disease::MESH:D000544  Alzheimer Disease (2 edges)"], ["D003924"]),
        ("xyzzy", ["no disease", "such as Disease::"], []),
        ("", ["no disease"], []),
        ("10652", ["no disease"], []),  # a bare number is an id of too many vocabularies
        ("Asthma", ["no disease"], ["Compound::"]),  # a drug's name is none
    ],
)
def test_what_is_not_told_apart_lists_what_may_be_meant(lookup, asked, listed, not_listed):
    with pytest.raises(KedrecError) as fault:
        lookup.find(asked)
    assert all(words in str(fault.value) for words in listed)
    assert not any(words in str(fault.value) for words in not_listed)


def test_a_long_list_is_cut():
    entities = [f"Disease::OMIM:{number}" for number in range(40)]
    graph = KnowledgeGraph(entities, [], np.empty((0, 3), dtype=np.int32), 0, 0, "")
    lookup = Lookup(
        graph, lambda entity: (f"Sickness {entity[-2:]} of the eye",), np.arange(40, dtype=np.int32), "Disease"
    )
    with pytest.raises(KedrecError, match="and 30 more"):
        lookup.find("eye sickness")
