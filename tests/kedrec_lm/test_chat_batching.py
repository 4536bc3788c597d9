"""How batches are shared out to processes."""

import pytest

from kedrec.kedrec_lm.chat_batching import LengthGroupedBatches, in_batches
from kedrec.runtime.batch_shares import taking_turns

LENGTHS = [(17 * (n // 2)) % 101 + n % 2 for n in range(106)]


@pytest.mark.parametrize(("world", "each"), [(2, 2), (3, 4), (4, 2)])
def test_processes_together_have_the_batches_of_one_that_has_larger_ones(world, each):
    one = LengthGroupedBatches(LENGTHS, each * world, 0, together=2)
    ranks = [LengthGroupedBatches(LENGTHS, each, 0, 2, rank, world) for rank in range(world)]
    shares = [list(batches) for batches in ranks]
    assert {len(share) for share in shares} == {len(ranks[0])}  # in step
    joined = [[row for part in parts for row in part] for parts in zip(*shares, strict=True)]
    for whole in one:
        if len(whole) == each * world:
            assert whole in joined
    for parts in zip(*shares, strict=True):
        assert len({len(part) for part in parts}) == 1  # equal weights in the mean of the processes' gradients
        for part in parts:
            assert {row ^ 1 for row in part} == set(part)
    left_out = set(range(106)) - {row for batch in joined for row in batch}
    assert len(left_out) < 2 * world


def test_a_batch_too_small_to_be_shared_out_is_left_out_everywhere():
    shares = [list(LengthGroupedBatches([5] * 9, 2, 0, 1, rank, 4)) for rank in range(4)]
    assert [len(share) for share in shares] == [1, 1, 1, 1]
    assert len({row for share in shares for batch in share for row in batch}) == 8


def test_turns_cover_every_batch_and_end_together():
    batches = in_batches(list(range(26)), 4)
    assert [len(batch) for batch in batches] == [4] * 6 + [2]
    for world in (1, 2, 3, 9):
        turns = [taking_turns(batches, rank, world) for rank in range(world)]
        assert len({len(mine) for mine in turns}) == 1
        counted = [row for mine in turns for batch, counts in mine if counts for row in batch]
        assert sorted(counted) == list(range(26))
        assert all(batch == batches[-1] for mine in turns for batch, counts in mine if not counts)
    assert taking_turns([], 0, 2) == []
