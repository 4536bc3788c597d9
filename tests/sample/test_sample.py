"""The embedded sample is what its card says."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.therapeutic import THERAPEUTIC
from kedrec.sources.graph.entity_names import load_entity_info
from kedrec.sources.text.documents import read_documents
from kedrec.splits.pairs import load_pairs
from kedrec.storage.artifact_store import Store
from kedrec.text.citations import cited

SAMPLE = Path(__file__).parents[2] / "kedrec" / "sample"


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return load_graph(SAMPLE / "triples.tsv", Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def pairs():
    return load_pairs(SAMPLE / "pairs.parquet")


@pytest.fixture(scope="module")
def documents():
    return list(read_documents(SAMPLE / "passages.jsonl"))


def test_the_graph_is_large_enough_and_every_entity_has_a_name(graph):
    kinds = Counter(entity.split("::")[0] for entity in graph.entities)
    assert kinds["Disease"] >= 60
    assert kinds["Compound"] >= 160
    assert kinds["Gene"] >= 250
    assert len(graph.triples) >= 3000
    assert len(graph.relations) >= 12
    assert graph.duplicates == graph.self_loops == 0
    info = load_entity_info(SAMPLE / "entities.tsv")
    assert set(info) == set(graph.entities)
    assert all(entry.name for entry in info.values())


def test_passages_have_their_length_their_ids_and_no_invented_trial(documents):
    assert len(documents) >= 320
    by_source = Counter(document.source for document in documents)
    assert by_source["clinical_trials"] == by_source["pmc"]
    for document in documents:
        assert 60 <= len(document.text.split()) <= 150, document.id
        assert re.fullmatch(r"SAMPLE-(CT|PMC)-\d{4}", document.id)
        assert ("-CT-" in document.id) == (document.source == "clinical_trials")
        assert not re.search(r"NCT\d|PMC\d{3}|PMID", document.text)


def test_no_two_passages_are_of_one_template(documents):
    seen = {}
    for document in documents:
        words = re.findall(r"\w+", document.text.lower())
        for start in range(len(words) - 9):
            run = tuple(words[start : start + 10])
            assert seen.setdefault(run, document.id) == document.id, " ".join(run)


def test_test_diseases_are_unseen_and_numerous(pairs):
    diseases = {
        split: {pair.disease for pair in pairs if pair.split == split} for split in ("train", "validation", "test")
    }
    assert not diseases["train"] & diseases["test"]
    assert not diseases["train"] & diseases["validation"]
    assert not diseases["validation"] & diseases["test"]
    assert len(diseases["test"]) >= 0.12 * len(set.union(*diseases.values()))


def test_relevant_drugs_treat_and_irrelevant_ones_do_not(graph, pairs):
    wanted = set(graph.match_relations(THERAPEUTIC, optional=THERAPEUTIC))
    edges = graph.edges(sorted(wanted))
    treats = {(graph.entities[head], graph.entities[tail]) for head, _, tail in edges.tolist()}
    for pair in pairs:
        assert (pair.relevant, pair.disease) in treats
        assert (pair.irrelevant, pair.disease) not in treats
    for split in ("train", "validation", "test"):
        first = [pair.relevant_first for pair in pairs if pair.split == split]
        assert abs(sum(first) - len(first) / 2) <= 1


def test_in_training_the_name_of_a_drug_tells_nothing(pairs):
    train = [pair for pair in pairs if pair.split == "train"]
    assert Counter(pair.relevant for pair in train) == Counter(pair.irrelevant for pair in train)


def test_each_pair_has_a_rationale_that_names_both_drugs_and_cites_passages(pairs, documents):
    ids = {document.id for document in documents}
    info = load_entity_info(SAMPLE / "entities.tsv")
    lines = (SAMPLE / "rationales.jsonl").read_text(encoding="utf-8").splitlines()
    rationales = {(r["disease"], r["relevant"], r["irrelevant"]): r["rationale"] for r in map(json.loads, lines)}
    for pair in pairs:
        text = rationales[pair.disease, pair.relevant, pair.irrelevant]
        assert cited(text)
        assert set(cited(text)) <= ids
        for drug in (pair.relevant, pair.irrelevant):
            assert info[drug].name.lower() in text.lower()
