"""Queries, their answers and their batches against plain Python over the triples."""

import random
from collections import defaultdict

import numpy as np
import pytest
import torch

from kedrec.lladr.ranking_queries import KnownAnswers, query_keys, ranking_batches, repurposing_batch

ENTITIES, RELATIONS = 30, 3
TYPES = np.array([0, 2, 1] * 10)
DEGREES = np.arange(ENTITIES) * 7


def _triples(number, seed):
    """Distinct triples of any entities: the answers of one relation have several types."""
    rng = random.Random(seed)
    found = set()
    while len(found) < number:
        found.add((rng.randrange(ENTITIES), rng.randrange(RELATIONS), rng.randrange(8)))
    return np.array(rng.sample(sorted(found), number), dtype=np.int32)


ALL = _triples(240, 0)
TEST = ALL[50:110]


@pytest.fixture(scope="module")
def known():
    return KnownAnswers(ALL, RELATIONS)


def _batches(known, queries=1000, test=TEST):
    return list(ranking_batches("pairs", test, TYPES, DEGREES, known, queries))


def _answers(batch):
    """The known answers of each query."""
    found = defaultdict(list)
    for place, answer in zip(batch.known_query.tolist(), batch.known.tolist(), strict=True):
        found[place].append(answer)
    return found


def _asked(batches):
    """What each triple asks and gets, (side, number) -> facts, however the queries are batched."""
    found = {}
    for batch in batches:
        answers = _answers(batch)
        for number, query, target, degree in zip(
            batch.triple.tolist(), batch.query.tolist(), batch.target.tolist(), batch.degree.tolist(), strict=True
        ):
            assert (batch.side, number) not in found
            found[batch.side, number] = {
                "query": (int(batch.entity[query]), int(batch.relation[query])),
                "target": target,
                "degree": degree,
                "known": sorted(answers[query]),
                "candidates": batch.candidates.tolist(),
            }
    return found


def test_each_triple_asks_for_its_head_and_its_tail_and_all_true_answers_are_told(known):
    wanted = {}
    for number, (head, relation, tail) in enumerate(TEST.tolist()):
        for side, given, target in (("head", tail, head), ("tail", head, tail)):
            if side == "head":
                answers = sorted(h for h, r, t in ALL.tolist() if (r, t) == (relation, tail))
            else:
                answers = sorted(t for h, r, t in ALL.tolist() if (h, r) == (head, relation))
            wanted[side, number] = {
                "query": (given, relation),
                "target": target,
                "degree": 7 * target,
                "known": answers,
                "candidates": [row for row in range(ENTITIES) if TYPES[row] == TYPES[target]],
            }
    assert _asked(_batches(known)) == wanted


def test_the_queries_of_a_batch_are_distinct_and_each_is_asked(known):
    for batch in _batches(known):
        pairs = list(zip(batch.entity.tolist(), batch.relation.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        assert set(batch.query.tolist()) == set(range(len(pairs)))
        assert set(batch.known_query.tolist()) == set(range(len(pairs)))
    assert sum(len(batch.entity) for batch in _batches(known)) < 2 * len(TEST)  # some queries have several answers


def test_candidates_are_the_entities_of_the_targets_type_in_ascending_order(known):
    batches = _batches(known)
    assert {(batch.side, int(TYPES[batch.candidates[0]])) for batch in batches} == {
        (side, kind) for side in ("head", "tail") for kind in range(3)
    }
    for batch in batches:
        assert batch.candidates.diff().gt(0).all()
        assert np.isin(batch.target, batch.candidates).all()
        assert batch.known_query.diff().ge(0).all()
        assert all(
            target in _answers(batch)[query]
            for query, target in zip(batch.query.tolist(), batch.target.tolist(), strict=True)
        )


def test_fields_are_as_wide_as_indices_must_be(known):
    for batch in _batches(known):
        assert batch.name == "pairs"
        fields = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
        assert len(fields) == 10
        assert {value.dtype for value in fields.values()} == {torch.int64}
        assert batch.candidate_degree.tolist() == (7 * batch.candidates).tolist()


@pytest.mark.parametrize("queries", [1, 2, 7])
def test_small_batches_hold_what_one_large_one_holds(known, queries):
    large, small = _batches(known), _batches(known, queries)
    assert max(len(batch.entity) for batch in small) == queries
    assert len(small) == sum(-(-len(batch.entity) // queries) for batch in large)
    assert _asked(small) == _asked(large)


def test_repeated_test_triples_are_asked_each(known):
    twice = np.concatenate([TEST, TEST[:5]])
    asked = _asked(_batches(known, 3, twice))
    assert len(asked) == 2 * len(twice)
    for side in ("head", "tail"):
        for number in range(5):
            assert asked[side, len(TEST) + number] == asked[side, number]


def test_no_triples_ask_nothing(known):
    assert _batches(known, test=TEST[:0]) == []


def test_a_query_that_no_triple_answers_has_no_answers(known):
    answered = {(tail, relation) for _, relation, tail in ALL.tolist()}
    unanswered = next((t, r) for t in range(ENTITIES) for r in range(RELATIONS) if (t, r) not in answered)
    keys = query_keys(np.array([[0, unanswered[1], unanswered[0]], TEST[0]], dtype=np.int32), "head", RELATIONS)
    place, answers = known.of(keys, "head")
    assert set(place.tolist()) == {1}
    assert sorted(answers.tolist()) == sorted(h for h, r, t in ALL.tolist() if [r, t] == TEST[0, 1:].tolist())


def test_keys_do_not_overflow_in_a_graph_as_large_as_there_are():
    triples = np.array([[2**31 - 1, 106, 5], [5, 106, 2**31 - 1], [2**31 - 2, 106, 5]], dtype=np.int32)
    assert query_keys(triples, "tail", 107).tolist() == [head * 107 + 106 for head in (2**31 - 1, 5, 2**31 - 2)]
    assert query_keys(triples, "head", 107).tolist() == [tail * 107 + 106 for tail in (5, 2**31 - 1, 5)]


def _split(rng, diseases, compounds):
    """Triples of two therapeutic relations, one told with the disease as head, and of one that is not therapeutic."""
    rows = set()
    for _ in range(60):
        disease, compound, relation = rng.choice(diseases), rng.choice(compounds), rng.randrange(3)
        rows.add((disease, relation, compound) if relation == 1 else (compound, relation, disease))
    rows |= {(rng.choice(compounds), 0, rng.choice(compounds)) for _ in range(5)}  # no disease in it
    return np.array(sorted(rows), dtype=np.int32)


def test_repurposing_tells_what_is_known_in_each_split():
    rng = random.Random(0)
    diseases, compounds = np.flatnonzero(TYPES == 0), np.flatnonzero(TYPES == 1)
    splits = [_split(rng, diseases.tolist(), compounds.tolist()) for _ in range(3)]
    splits[2] = np.concatenate([splits[2], splits[0][:10]])  # told twice
    asked = diseases[[0, 2, 3, 7]]
    batch = repurposing_batch(asked, compounds[1:], [(0, "head"), (1, "tail")], splits)
    wanted = set()
    for number, split in enumerate(splits):
        for head, relation, tail in split.tolist():
            disease, compound = (head, tail) if relation == 1 else (tail, head)
            if relation in (0, 1) and disease in asked and compound in compounds[1:]:
                wanted.add((disease, compound, number))
    given = [
        (int(batch.disease[disease]), int(batch.compounds[compound]), split)
        for disease, compound, split in zip(
            batch.known_disease.tolist(), batch.known.tolist(), batch.known_split.tolist(), strict=True
        )
    ]
    assert len(set(given)) == len(given)
    assert set(given) == wanted
    assert {split for _, _, split in given} == {0, 1, 2}
    assert batch.disease.tolist() == asked.tolist()
    assert batch.compounds.tolist() == compounds[1:].tolist()
    assert batch.relation.tolist() == [0, 1]
    assert batch.missing == ("head", "tail")


@pytest.mark.parametrize("missing", ["head", "tail"])
def test_repurposing_of_one_relation_by_hand(missing):
    """Compounds 10 and 12, diseases 3 and 5: 12 treats 5 in training and in the test, 10 treats 3 in the test."""
    told = [[(12, 1, 5), (12, 0, 3)], [], [(10, 1, 3), (12, 1, 5), (11, 1, 5), (10, 1, 4)]]
    splits = [np.array(rows, dtype=np.int32).reshape(-1, 3) for rows in told]
    if missing == "tail":
        splits = [split[:, ::-1] for split in splits]
    batch = repurposing_batch(np.array([3, 5]), np.array([10, 12]), [(1, missing)], splits)
    known = torch.stack([batch.known_disease, batch.known, batch.known_split], dim=1)
    assert known.tolist() == [[0, 0, 2], [1, 1, 0], [1, 1, 2]]
