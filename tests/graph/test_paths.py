"""Paths against a search that is written out, their scores by hand, and hubs that are looked at piece by piece."""

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.graph import paths
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.paths import PathFinder

TREATS = "DRUGBANK::treats::Compound:Disease"
REAL = os.environ.get("KEDREC_REAL_DATA")


def graph(*triples):
    entities = list(dict.fromkeys(end for head, _, tail in triples for end in (head, tail)))
    relations = list(dict.fromkeys(relation for _, relation, _ in triples))
    rows = [(entities.index(head), relations.index(kind), entities.index(tail)) for head, kind, tail in triples]
    return KnowledgeGraph(entities, relations, np.array(rows, dtype=np.int32), 0, 0, "")


def random_graph(seed):
    generator = np.random.default_rng(seed)
    entities = [f"{kind}::{n}" for kind in ("Compound", "Gene", "Disease") for n in range(8)]
    relations = [TREATS, "S::one", "S::two"]
    ends = generator.integers(len(entities), size=(150, 2))
    kinds = generator.integers(len(relations), size=150)
    triples = np.unique(np.stack([ends[:, 0], kinds, ends[:, 1]], axis=1), axis=0).astype(np.int32)
    return KnowledgeGraph(entities, relations, triples, 0, 0, "")


def written_out(found, drug, disease):
    """The nodes and the score of each path, by the definition."""
    degree = {}
    links = {}
    for head, relation, tail in found.triples.tolist():
        if head == tail:
            continue
        for end in (head, tail):
            degree[end, relation] = degree.get((end, relation), 0) + 1
        for pair in ((head, tail), (tail, head)):
            links.setdefault(pair, set()).add(relation)
    weight = {
        pair: max((degree[pair[0], relation] * degree[pair[1], relation]) ** -0.4 for relation in kinds)
        for pair, kinds in links.items()
    }
    others = [row for row in range(len(found.entities)) if row not in (drug, disease)]
    ways = [(one,) for one in others] + list(itertools.permutations(others, 2))
    scores = {}
    for way in ways:
        steps = list(itertools.pairwise((drug, *way, disease)))
        if all(step in weight for step in steps):
            scores[way] = np.prod([weight[step] for step in steps])
    return scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_all_paths_are_found_with_their_scores_whatever_the_block(seed, block, monkeypatch):
    monkeypatch.setattr(paths, "_BLOCK", block)
    found = random_graph(seed)
    expected = written_out(found, 0, len(found.entities) - 1)
    answer = PathFinder(found, [TREATS]).find(found.entities[0], found.entities[-1], top=10_000)
    ours = {tuple(found.entity_rows[node] for node in path.nodes[1:-1]): path.score for path in answer.best}
    assert ours.keys() == expected.keys()
    assert expected
    assert all(ours[way] == pytest.approx(expected[way], rel=1e-12) for way in expected)
    assert [path.score for path in answer.best] == sorted(ours.values(), reverse=True)
    assert sum(one.paths for one in answer.metapaths) == len(expected)
    assert sum(one.dwpc for one in answer.metapaths) == pytest.approx(sum(expected.values()))


def test_the_few_best_are_those_of_all():
    found = random_graph(1)
    finder = PathFinder(found, [TREATS])
    everything = finder.find(found.entities[0], found.entities[-1], top=1000).best
    assert finder.find(found.entities[0], found.entities[-1], top=3).best == everything[:3]


def test_a_path_says_where_each_link_is_from_and_which_way_it_goes():
    found = graph(
        ("Compound::a", "DRUGBANK::target::Compound:Gene", "Gene::x"),
        ("Gene::x", "DGIDB::INHIBITOR::Gene:Compound", "Compound::a"),
        ("Disease::d", "Hetionet::DaG::Disease:Gene", "Gene::x"),
        ("Compound::a", "GNBR::Sa::Compound:Disease", "Disease::d"),
        ("Compound::a", TREATS, "Disease::d"),
        ("Compound::b", "DGIDB::INHIBITOR::Gene:Compound", "Gene::x"),
    )
    answer = PathFinder(found, [TREATS]).find("Compound::a", "Disease::d")
    (path,) = answer.best
    assert path.types == "Compound-Gene-Disease"
    first, second = path.steps
    assert [(link.source, link.forward) for link in first] == [("DRUGBANK", True), ("DGIDB", False)]
    assert [(link.relation, link.source, link.forward) for link in second] == [
        ("Hetionet::DaG::Disease:Gene", "Hetionet", False)
    ]
    assert path.score == 1.0  # each of its rarest links is the only one of its kind at both ends
    assert [link.relation for link in answer.direct] == ["GNBR::Sa::Compound:Disease"]


def test_a_hub_counts_less_than_a_rare_gene():
    hub = [(f"Compound::{n}", "S::binds", "Gene::hub") for n in range(100)]
    found = graph(
        *hub,
        ("Compound::0", "S::binds", "Gene::rare"),
        ("Disease::d", "S::has", "Gene::hub"),
        ("Disease::d", "S::has", "Gene::rare"),
    )
    best = PathFinder(found, []).find("Compound::0", "Disease::d").best
    assert [path.nodes[1] for path in best] == ["Gene::rare", "Gene::hub"]
    assert best[1].score == pytest.approx((2 * 100 * 2 * 1) ** -0.4)
    undamped = PathFinder(found, [], damping=0).find("Compound::0", "Disease::d").best
    assert {path.score for path in undamped} == {1.0}


def test_only_paths_of_the_types_that_are_asked_for():
    found = random_graph(2)
    finder = PathFinder(found, [TREATS])
    ends = found.entities[0], found.entities[-1]
    everything = finder.find(*ends, top=1000)
    for metapath in ("Compound-Gene-Disease", "compound - gene-compound-disease"):
        named = "-".join(part.strip().capitalize() for part in metapath.split("-"))
        only = finder.find(*ends, top=1000, metapath=metapath)
        assert only.best == tuple(path for path in everything.best if path.types == named)
        assert [one.types for one in only.metapaths] == [named]
        assert only.metapaths[0].paths == len(only.best) > 0


@pytest.mark.parametrize(
    ("metapath", "words"),
    [
        ("Compound-Gen-Disease", ["'Gen'", "'Gene'"]),
        ("Compound-Disease", ["Compound-Gene-Disease"]),
        ("Gene-Gene-Disease", ["Compound-Gene-Disease"]),
        ("Compound-Gene-Gene-Gene-Disease", ["one or two"]),
    ],
)
def test_a_metapath_from_elsewhere_is_refused(metapath, words):
    found = random_graph(2)
    with pytest.raises(KedrecError) as fault:
        PathFinder(found, []).find(found.entities[0], found.entities[-1], metapath=metapath)
    assert all(word in str(fault.value) for word in words)


def test_entities_that_are_not_there_or_not_linked():
    found = graph(("Compound::a", "S::x", "Gene::g"), ("Disease::d", "S::y", "Gene::h"))
    finder = PathFinder(found, [])
    assert finder.find("Compound::a", "Disease::d").best == ()
    with pytest.raises(KedrecError, match="Compound::b: not in the graph"):
        finder.find("Compound::b", "Disease::d")


@pytest.mark.skipif(REAL is None, reason="KEDREC_REAL_DATA is not set")
def test_a_drug_of_the_real_graph_takes_less_than_half_a_second(store):
    from kedrec.graph.knowledge_graph import load_graph
    from kedrec.storage.artifact_store import Store

    found = load_graph(Path(REAL) / "graph", Store())
    finder = PathFinder(found, found.match_relations([TREATS]))
    degrees = np.bincount(found.triples[:, ::2].ravel(), minlength=len(found.entities))
    drugs = found.of_type("Compound")
    hub = found.entities[drugs[degrees[drugs].argmax()]]
    started = time.process_time()
    best = finder.find(hub, "Disease::DOID:10652").best
    assert time.process_time() - started < 0.5
    assert len(best) == 5
