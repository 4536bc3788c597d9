import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.lladr import triple_noise as noise
from kedrec.lladr.triple_noise import add_triples, delete_triples


def _graph(entities=60, relations=5, triples=1000):
    """A graph whose triples are every so many-th of all there could be."""
    codes = np.linspace(0, entities**2 * relations - 1, triples).astype(int)
    rows = np.stack(np.unravel_index(codes, (entities, relations, entities)), axis=1).astype(np.int32)
    names = [f"Gene::{row}" for row in range(entities)]
    return KnowledgeGraph(names, [f"r{row}" for row in range(relations)], rows, 0, 0, "")


GRAPH = _graph()
TRAIN = GRAPH.triples[:800]


def _set(triples):
    return set(map(tuple, triples.tolist()))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.4, 0.999])
def test_the_share_is_deleted_and_the_rest_keeps_its_order(share):
    kept = delete_triples(TRAIN, share, seed=0)
    assert len(kept) == 800 - round(share * 800)
    assert kept.dtype == np.int32
    places = [np.flatnonzero((triple == TRAIN).all(axis=1))[0] for triple in kept]
    assert places == sorted(places)


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0, 2.5])
def test_added_triples_are_new_distinct_and_in_the_vocabulary(share):
    more = add_triples(TRAIN, share, GRAPH, seed=0)
    assert len(more) == 800 + round(share * 800)
    assert more.dtype == np.int32
    assert np.array_equal(more[:800], TRAIN)
    assert len(_set(more)) == len(more)
    assert not _set(more[800:]) & _set(GRAPH.triples)
    assert more.min() >= 0
    assert (more.max(axis=0) < [60, 5, 60]).all()


def test_all_there_is_can_be_added_and_no_more():
    graph = _graph(entities=6, relations=2, triples=40)
    full = add_triples(graph.triples, 0.8, graph, seed=1)
    assert len(_set(full)) == 72
    with pytest.raises(
        KedrecError, match="33 random triples cannot be added, as 6 entities and 2 relations leave only 32"
    ):
        add_triples(graph.triples, 33 / 40, graph, seed=1)
    with pytest.raises(KedrecError, match="leave only 0"):
        add_triples(full, 0.1, graph, seed=1)


def test_heads_relations_and_tails_are_drawn_about_uniformly():
    added = add_triples(TRAIN, 10, GRAPH, seed=0)[800:]
    for column, values in enumerate((60, 5, 60)):
        counts = np.bincount(added[:, column], minlength=values)
        assert abs(counts - 8000 / values).max() < 6 * (8000 / values) ** 0.5
    assert (added[:, 0] == added[:, 2]).any()  # nothing is asked of the ends, as in LLaDR


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_share_includes_a_smaller_one(seed, monkeypatch):
    monkeypatch.setattr(noise, "BLOCK", 50)  # the shares need several draws, and not as many
    kept = [delete_triples(TRAIN, share, seed) for share in (0.2, 0.4, 0.6)]
    added = [add_triples(TRAIN, share, GRAPH, seed) for share in (0.2, 0.4, 0.6)]
    for at in range(2):
        assert _set(kept[at + 1]) < _set(kept[at])
        assert np.array_equal(added[at + 1][: len(added[at])], added[at])


def test_the_seed_alone_decides():
    for damage in (lambda seed: delete_triples(TRAIN, 0.3, seed), lambda seed: add_triples(TRAIN, 0.3, GRAPH, seed)):
        first = damage(4)
        np.random.seed(1)
        assert np.array_equal(damage(4), first)
        assert _set(damage(5)) != _set(first)


def test_noise_can_be_added_to_noise():
    twice = add_triples(add_triples(TRAIN, 0.2, GRAPH, seed=0), 0.2, GRAPH, seed=0)
    assert len(_set(twice)) == len(twice) == 800 + 160 + 192


def test_nothing_that_was_deleted_is_added_again():
    few = delete_triples(TRAIN, 0.9, seed=0)
    assert not _set(add_triples(few, 100, GRAPH, seed=0)[len(few) :]) & _set(TRAIN)


@pytest.mark.parametrize("share", [-0.1, 1.0, 20, float("nan")])
def test_impossible_shares_to_delete_are_refused(share):
    with pytest.raises(KedrecError, match=rf"noise\.delete: {share}; expected .* 0 or more and below 1"):
        delete_triples(TRAIN, share, seed=0)


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_impossible_shares_to_add_are_refused(share):
    with pytest.raises(KedrecError, match=rf"noise\.add: {share}; expected the share of added triples, 0 or more"):
        add_triples(TRAIN, share, GRAPH, seed=0)
