"""Two ids of one disease are one when pairs are sampled."""

from itertools import permutations

import pytest

from kedrec.graph.knowledge_graph import load_graph
from kedrec.graph.synonyms import canonical_rows, merge_synonyms
from kedrec.storage.artifact_store import Store
from tests.support.drawn_pairs import sample_pairs

NAMES = {"Disease::DOID:2841": ["asthma"], "Disease::MESH:D001249": ["Asthma", "Bronchial Asthma"]}
LINES = [
    ("Compound::A", "DRUGBANK::treats::Compound:Disease", "Disease::MESH:D001249"),
    ("Compound::B", "Hetionet::CtD::Compound:Disease", "Disease::DOID:2841"),
    ("Compound::A", "Hetionet::CtD::Compound:Disease", "Disease::DOID:2841"),
    ("Compound::C", "DRUGBANK::treats::Compound:Disease", "Disease::MESH:D000002"),
]


def _graph(tmp_path):
    (tmp_path / "g.tsv").write_text("".join("\t".join(line) + "\n" for line in LINES))
    graph = load_graph(tmp_path / "g.tsv", Store(tmp_path / "store"))
    return merge_synonyms(graph, canonical_rows(graph, lambda entity: NAMES.get(entity, [entity]), ("Disease",)))


def test_the_mesh_id_stands_for_both(tmp_path):
    graph = _graph(tmp_path)
    tails = {graph.entities[row] for row in graph.triples[:, 2]}
    assert tails == {"Disease::MESH:D001249", "Disease::MESH:D000002"}
    assert len(graph.triples) == 4  # the two statements of A stay apart: their relations differ


def test_a_drug_that_treats_it_under_the_other_id_is_no_negative(tmp_path):
    for seed in range(5):
        settings = {"negatives": "random", "balanced": False, "split_by": "pair", "validation": 0.2, "test": 0.2}
        pairs = sample_pairs(_graph(tmp_path), **settings, seed=seed)
        for pair in pairs:
            if pair.disease == "Disease::MESH:D001249":
                assert pair.irrelevant == "Compound::C"


@pytest.mark.parametrize("ids", permutations(("Disease::1", "Disease::2", "Disease::3")))
def test_who_shares_a_name_with_two_others_makes_the_three_one(tmp_path, ids):
    names = dict(zip(ids, (["one"], ["other"], ["Other", "ONE"]), strict=True))
    lines = [f"Compound::A\tDRUGBANK::treats::Compound:Disease\tDisease::{number}\n" for number in (4, 3, 2, 1)]
    (tmp_path / "g.tsv").write_text("".join(lines))
    graph = load_graph(tmp_path / "g.tsv", Store(tmp_path / "store"))
    kept = canonical_rows(graph, lambda entity: names.get(entity, [entity]), ("Compound", "Disease", "Gene"))
    stands = {entity: graph.entities[row] for entity, row in zip(graph.entities, kept.tolist(), strict=True)}
    one = dict.fromkeys(ids, "Disease::1")
    assert stands == {**one, "Disease::4": "Disease::4", "Compound::A": "Compound::A"}
