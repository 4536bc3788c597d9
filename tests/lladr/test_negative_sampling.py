"""Batches of triples and corruptions, counted by eye: what an epoch holds, what may be drawn, how a run goes on."""

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from kedrec.errors import KedrecError
from kedrec.lladr.negative_sampling import TripleBatches, TrueTriples, subsampling_weights
from kedrec.lladr.triple_settings import NegativeSettings

ENTITIES, RELATIONS = 40, 4
TYPES = torch.tensor([0, 1, 2, 1] * 10)  # ten entities of types 0 and 2, twenty of type 1, side by side
ENDS = ((0, 1), (1, 1), (2, 0), (0, 1))  # types of a relation's heads and tails
MODES = {"untyped": None, "typed": TYPES}


def _triples(number=203, seed=0):
    """Distinct triples, (number, 3) int32; relation 2 has only seven of them."""
    rng = random.Random(seed)
    members = [[row for row in range(ENTITIES) if TYPES[row] == kind] for kind in range(3)]
    found = set()
    while len(found) < number:
        relation = 2 if len(found) < 7 else rng.choice([0, 1, 3])
        found.add((rng.choice(members[ENDS[relation][0]]), relation, rng.choice(members[ENDS[relation][1]])))
    return torch.tensor(sorted(found), dtype=torch.int32)


TRIPLES = _triples()
KNOWN = set(map(tuple, TRIPLES.tolist()))


def _batches(triples=TRIPLES, *, types=None, filtered=False, weight=None, **options):
    options = {"batch_size": 12, "negatives": 5, "chunks": 3, "seed": 0} | options
    weight = torch.ones(len(triples)) if weight is None else weight
    true = TrueTriples(triples, ENTITIES, RELATIONS) if filtered else None
    negatives = NegativeSettings(options.pop("negatives"), options.pop("chunks"))
    return TripleBatches(triples, weight, types, ENTITIES, negatives, true=true, **options)


def _first(batches, number):
    """So many batches, of as many epochs as it takes."""
    return list(itertools.islice(itertools.chain.from_iterable(itertools.repeat(batches)), number))


def _rows(batches):
    return [row for batch in batches for row in _true(batch)]


def _true(batch):
    return list(zip(batch.head.tolist(), batch.relation.tolist(), batch.tail.tolist(), strict=True))


def _corrupted(batch):
    """(triple, place in chunks, place in its chunk, place of the corruption) -> the corrupted triple."""
    chunks, negatives = batch.negatives.shape
    size = len(batch.head) // chunks
    for row, (head, relation, tail) in enumerate(_true(batch)):
        for place in range(negatives):
            entity = int(batch.negatives[row // size, place])
            made = (entity, relation, tail) if batch.side == "head" else (head, relation, entity)
            yield (row // size, row % size, place), (head, relation, tail), made


def _assert_same(one, other):
    for name in ("head", "relation", "tail", "negatives", "weight"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.side == other.side
    assert (one.false is None) == (other.false is None)
    assert one.false is None or torch.equal(one.false, other.false)


# What an epoch holds


def test_an_epoch_holds_each_triple_at_most_once_and_all_that_fill_batches():
    batches = _batches()
    epochs = [_rows(batches) for _ in range(5)]
    for rows in epochs:
        assert len(rows) == len(set(rows)) == len(TRIPLES) // 12 * 12
        assert set(rows) <= KNOWN
    assert set().union(*epochs) == KNOWN
    assert len({tuple(rows) for rows in epochs}) == 5
    assert [set(rows) for rows in epochs].count(set(epochs[0])) < 5  # not always the same ones wait


@pytest.mark.parametrize(("batch_size", "chunks"), [(12, 3), (12, 12), (20, 1), (40, 2)])
def test_a_typed_epoch_holds_every_triple_but_those_of_a_batch_that_is_not_full(batch_size, chunks):
    batches = _batches(types=TYPES, batch_size=batch_size, chunks=chunks)
    met = set()
    for _ in range(8):
        rows = _rows(batches)
        met.update(rows)
        assert len(rows) == len(batches) * batch_size
        assert set(rows) <= KNOWN
        assert len(KNOWN - set(rows)) < batch_size
        assert len(rows) - len(set(rows)) < 3 * batch_size // chunks  # fills up the last chunk of each pair of types
    assert met == KNOWN


def test_a_typed_chunk_has_one_pair_of_types():
    pairs = Counter()
    for batch in _batches(types=TYPES):
        for heads, tails in zip(batch.head.view(3, 4), batch.tail.view(3, 4), strict=True):
            ((pair),) = set(zip(TYPES[heads].tolist(), TYPES[tails].tolist(), strict=True))
            pairs[pair] += 1
    assert set(pairs) == set(ENDS)
    assert pairs[(2, 0)] == 2  # seven triples


def test_a_typed_order_mixes_the_pairs_of_types():
    relations = torch.cat([batch.relation for batch in _batches(types=TYPES)]).tolist()
    assert len(list(itertools.groupby(relation == 1 for relation in relations))) > 10


@pytest.mark.parametrize("mode", MODES)
def test_weights_go_with_their_triples(mode):
    weight = torch.rand(len(TRIPLES), generator=torch.Generator().manual_seed(0))
    of = dict(zip(map(tuple, TRIPLES.tolist()), weight.tolist(), strict=True))
    for batch in _batches(weight=weight, types=MODES[mode]):
        assert batch.weight.tolist() == [of[row] for row in _true(batch)]


def test_sides_take_turns_across_the_ends_of_epochs():
    batches = _batches(TRIPLES[:190])
    assert len(batches) % 2
    sides = [batch.side for batch in _first(batches, 3 * len(batches))]
    assert all(one != other for one, other in itertools.pairwise(sides))


# What may be drawn


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("chunks", "filtered"), [(3, False), (3, True), (12, False), (12, True), (1, True)])
def test_shapes_and_types_of_a_batch(mode, chunks, filtered):
    for batch in _first(_batches(types=MODES[mode], chunks=chunks, filtered=filtered), 2):
        assert batch.head.shape == batch.relation.shape == batch.tail.shape == batch.weight.shape == (12,)
        assert batch.negatives.shape == (chunks, 5)
        assert {batch.head.dtype, batch.relation.dtype, batch.tail.dtype, batch.negatives.dtype} == {torch.int64}
        if filtered and chunks < 12:
            assert batch.false.shape == (chunks, 12 // chunks, 5)
            assert batch.false.dtype == torch.bool
        else:
            assert batch.false is None


@pytest.mark.parametrize("chunks", [1, 3, 12])
@pytest.mark.parametrize("filtered", [False, True])
def test_typed_corruptions_have_the_type_of_what_they_replace(chunks, filtered):
    seen = set()
    for batch in _first(_batches(types=TYPES, chunks=chunks, filtered=filtered), 60):
        for _, triple, made in _corrupted(batch):
            assert TYPES[list(made[::2])].tolist() == TYPES[list(triple[::2])].tolist()
            seen.add((batch.side, triple[1]))
    assert len(seen) == 2 * RELATIONS


@pytest.mark.parametrize("mode", MODES)
def test_filtered_independent_corruptions_are_never_true(mode):
    def true(filtered):
        batches = _batches(types=MODES[mode], chunks=12, filtered=filtered, negatives=20)
        return sum(made in KNOWN for batch in batches for _, _, made in _corrupted(batch))

    assert true(False) > 100
    assert true(True) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunks", [1, 3])
def test_filtered_shared_corruptions_mark_exactly_the_true_ones(mode, chunks):
    marked = Counter()
    for batch in _batches(types=MODES[mode], chunks=chunks, filtered=True):
        for place, _, made in _corrupted(batch):
            assert bool(batch.false[place]) == (made not in KNOWN)
            marked[bool(batch.false[place])] += 1
    assert min(marked.values()) > 20


def test_where_nearly_all_is_true_drawing_ends():
    everything = torch.tensor(list(itertools.product(range(ENTITIES), [0], [7])), dtype=torch.int32)
    batches = _batches(everything, chunks=12, filtered=True)
    tails, heads = _first(batches, 2)
    assert not any(made in set(map(tuple, everything.tolist())) for _, _, made in _corrupted(tails))
    assert heads.negatives.shape == (12, 5)


def _uniform(entities, allowed):
    """Whether the entities look as if drawn with equal odds from the allowed ones, and from no others."""
    counts = np.bincount(entities, minlength=ENTITIES)
    assert counts.sum() == counts[allowed].sum()
    assert counts[allowed].mean() > 50
    return chisquare(counts[allowed]).pvalue > 1e-3


@pytest.mark.parametrize("chunks", [3, 12])
def test_corruptions_are_uniform_over_all_entities(chunks):
    drawn = torch.cat([batch.negatives.flatten() for batch in _batches(chunks=chunks, negatives=80)])
    assert _uniform(drawn, np.arange(ENTITIES))


@pytest.mark.parametrize("chunks", [3, 12])
def test_typed_corruptions_are_uniform_over_each_type(chunks):
    batches = _batches(types=TYPES, chunks=chunks, negatives=80)
    drawn = torch.cat([batch.negatives.flatten() for batch in _first(batches, 200)])
    for members in (np.flatnonzero(kind == TYPES.numpy()) for kind in range(3)):
        assert _uniform(drawn[np.isin(drawn, members)], members)


@pytest.mark.parametrize("mode", MODES)
def test_filtered_corruptions_are_uniform_over_what_is_not_true(mode):
    tails = np.flatnonzero(TYPES == 1)
    true = tails[:12]
    triples = torch.tensor([(0, 0, int(tail)) for tail in true], dtype=torch.int32)
    batches = _batches(triples, types=MODES[mode], chunks=12, filtered=True, negatives=200)
    tail_side = _first(batches, 1)[0]
    assert tail_side.side == "tail"
    allowed = np.setdiff1d(np.arange(ENTITIES) if mode == "untyped" else tails, true)
    assert _uniform(tail_side.negatives.flatten(), allowed)


def test_chunks_batches_and_epochs_have_corruptions_of_their_own():
    batches = _batches(negatives=20)
    drawn = [tuple(row) for batch in _first(batches, 3 * len(batches)) for row in batch.negatives.tolist()]
    assert len(set(drawn)) == len(drawn) == 3 * len(batches) * 3


# How a run goes on


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filtered", [False, True])
def test_a_run_goes_on_from_any_batch_as_if_unbroken(mode, filtered):
    options = {"types": MODES[mode], "filtered": filtered, "chunks": 12}
    whole = _first(_batches(**options), 45)
    epoch = len(_batches(**options))
    assert 2 * epoch < 45
    for done in (0, 1, epoch - 1, epoch, epoch + 1, 2 * epoch, 2 * epoch + 3):
        again = _batches(**options)
        again.done = done
        for one, other in zip(_first(again, 45 - done), whole[done:], strict=True):
            _assert_same(one, other)
        assert again.done == 45


def test_an_iteration_that_was_left_early_goes_on():
    batches = _batches()
    given = list(itertools.islice(batches, 5))
    assert batches.done == 5
    given += list(batches)
    assert len(given) == batches.done == len(batches)
    for one, other in zip(given, _first(_batches(), len(given)), strict=True):
        _assert_same(one, other)


def test_the_seed_alone_decides_and_global_state_is_left_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    once = _first(_batches(types=TYPES, chunks=12, filtered=True), 20)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    for one, other in zip(_first(_batches(types=TYPES, chunks=12, filtered=True), 20), once, strict=True):
        _assert_same(one, other)
    changed = _first(_batches(types=TYPES, chunks=12, filtered=True, seed=1), 20)
    assert not any(torch.equal(one.negatives, other.negatives) for one, other in zip(changed, once, strict=True))
    assert _rows(changed) != _rows(once)


@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_together_see_what_one_process_with_twice_the_batch_sees(mode):
    ranks = [_batches(types=MODES[mode], rank=rank, world=2) for rank in (0, 1)]
    alone = _batches(types=MODES[mode], batch_size=24, chunks=6)
    assert len(ranks[0]) == len(ranks[1]) == len(alone)
    number = 2 * len(alone)
    for first, second, both in zip(*(_first(batches, number) for batches in (*ranks, alone)), strict=True):
        assert _true(first) + _true(second) == _true(both)
        assert first.side == second.side == both.side
        assert not torch.equal(first.negatives, second.negatives)
    if mode == "untyped":
        one, two = (_rows(batches) for batches in ranks)
        assert not set(one) & set(two)


# What is an error


def test_too_few_triples_for_a_batch_of_each_process_are_an_error():
    _batches(TRIPLES[:24], world=2)
    with pytest.raises(KedrecError, match="23 training triples do not fill one batch of 12 for each of 2 processes"):
        _batches(TRIPLES[:23], world=2)


# What is true


def test_true_triples_are_told_exactly():
    """Of all triples that there can be, by broadcasting."""
    true = TrueTriples(TRIPLES, ENTITIES, RELATIONS)
    heads, relations, tails = torch.arange(ENTITIES), torch.arange(RELATIONS), torch.arange(ENTITIES)
    given = true.contains(heads[:, None, None], relations[:, None], tails)
    assert given.shape == (ENTITIES, RELATIONS, ENTITIES)
    assert set(map(tuple, given.nonzero().tolist())) == KNOWN


def test_true_triples_are_told_exactly_in_a_graph_as_large_as_drkg():
    entities, relations, rng = 100_000, 107, random.Random(0)

    def drawn():
        return rng.randrange(entities), rng.randrange(relations), rng.randrange(entities)

    corners = list(itertools.product((0, 1, entities - 1), (0, relations - 1), (0, entities - 2, entities - 1)))
    known = {drawn() for _ in range(20_000)} | set(corners[::2])
    asked = [*corners, *known, *(drawn() for _ in range(20_000))]
    near = [(h, r, (t + 1) % entities) for h, r, t in known] + [((h + 1) % entities, r, t) for h, r, t in known]
    asked += [*near, *((t, r, h) for h, r, t in known)]
    true = TrueTriples(torch.tensor(sorted(known), dtype=torch.int32), entities, relations)
    for dtype in (torch.int32, torch.int64):
        given = true.contains(*torch.tensor(asked, dtype=dtype).unbind(1))
        assert given.tolist() == [triple in known for triple in asked]


def test_nothing_is_true_of_no_triples():
    true = TrueTriples(torch.empty(0, 3, dtype=torch.int32), ENTITIES, RELATIONS)
    assert not true.contains(*torch.tensor([[0, 0, 0], [39, 3, 39]]).T).any()


def test_subsampling_weights_count_as_rotates_code_does():
    """There a query's count is 4 when it is first met, and 1 more each time after."""
    count = {}
    rows = [*TRIPLES.tolist(), [39, 3, 39]]
    for head, relation, tail in rows:
        for query in (("tail", head, relation), ("head", tail, relation)):
            count[query] = count[query] + 1 if query in count else 4
    wanted = [
        1 / math.sqrt(count["tail", head, relation] + count["head", tail, relation]) for head, relation, tail in rows
    ]
    given = subsampling_weights(np.array(rows, dtype=np.int32), RELATIONS)
    assert given.dtype == np.float32
    assert given.tolist() == pytest.approx(wanted)
