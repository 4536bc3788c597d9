import pytest

from kedrec.errors import KedrecError
from kedrec.splits.seeded_split import SPLITS, scatter_items, seeded_number, seeded_order, split_items

ITEMS = [f"Disease::{number}" for number in range(200)]


@pytest.mark.parametrize("seed", range(8))
def test_the_fractions_are_met_whatever_the_order_of_the_items(seed):
    splits = split_items(ITEMS, validation=0.1, test=0.15, seed=seed)
    assert sorted(splits) == sorted(ITEMS)
    assert [list(splits.values()).count(name) for name in SPLITS] == [150, 20, 30]
    assert split_items(ITEMS[::-1] + ITEMS[:5], validation=0.1, test=0.15, seed=seed) == splits


def test_seeds_differ_and_global_state_does_not_matter():
    by_seed = [split_items(ITEMS, validation=0.1, test=0.2, seed=seed) for seed in range(5)]
    assert all(by_seed[0] != other for other in by_seed[1:])
    # Written down, so that a change of hash shows: published splits must not move.
    assert seeded_order(["a", "b", "c", "d"], 0, "split") == ["c", "a", "b", "d"]
    assert seeded_number(0, "split", "a") == 7105594843923089712


def test_the_parts_of_a_number_do_not_run_together():
    assert seeded_number(1, "ab", "c") != seeded_number(1, "a", "bc")


def test_a_few_more_items_move_few_of_the_others():
    before = split_items(ITEMS, validation=0.1, test=0.2, seed=3)
    after = split_items([*ITEMS, "Disease::new 1", "Disease::new 2"], validation=0.1, test=0.2, seed=3)
    assert sum(before[item] != after[item] for item in ITEMS) <= 4


def test_a_small_set_still_fills_each_split_that_was_asked_for():
    assert sorted(split_items(["a", "b", "c"], validation=0.05, test=0.05, seed=0).values()) == sorted(SPLITS)
    assert set(split_items(["a", "b", "c"], validation=0.0, test=0.0, seed=0).values()) == {"train"}


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.1, 1.2)])
def test_impossible_fractions_are_refused(validation, test):
    with pytest.raises(KedrecError, match=r"validation.* test"):
        split_items(ITEMS, validation=validation, test=test, seed=0)


def test_too_few_items_are_refused():
    with pytest.raises(KedrecError, match="2 items"):
        split_items(["a", "b"], validation=0.1, test=0.1, seed=0)


def test_scattered_items_keep_their_split_whatever_the_others_are():
    splits = scatter_items(ITEMS, validation=0.25, test=0.25, seed=2)
    assert scatter_items(ITEMS[:7], validation=0.25, test=0.25, seed=2).items() <= splits.items()
    assert 70 <= list(splits.values()).count("train") <= 130
    assert 25 <= list(splits.values()).count("test") <= 75
