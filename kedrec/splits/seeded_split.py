"""Seeded splits that names and a seed alone decide: not the order of a file, nor any global state."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import accumulate
from typing import Literal

from kedrec.errors import KedrecError, nearest

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def seeded_number(seed: int, *parts: str) -> int:
    """Return a pseudo-random number below 2**64 that depends on the seed and the parts alone."""
    text = "\x1f".join((str(seed), *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def seeded_order(items: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Return the distinct items, shuffled.

    Args:
        items: in any order; repeats count once.
        seed: of the experiment.
        purpose: two purposes give two orders under the same seed.
    """
    return sorted(set(items), key=lambda item: (seeded_number(seed, purpose, item), item))


def split_items(items: Iterable[str], validation: float, test: float, seed: int) -> dict[str, Split]:
    """Put each item into one split.

    The first of the shuffled items are for the test, the next for validation, the rest for training: adding or removing
    a few items moves few of the others.

    Args:
        items: distinct or not, in any order.
        validation: the share of the items for validation, at least one item where it is above 0.
        test: the share of the items for the test, at least one item where it is above 0.
        seed: of the experiment.

    Raises:
        KedrecError: the shares are negative or leave nothing for training, or there are too few items.
    """
    _check_shares(validation, test)
    shuffled = seeded_order(items, seed, "split")
    tested, validated = (max(round(share * len(shuffled)), share > 0) for share in (test, validation))
    if tested + validated >= len(shuffled):
        raise KedrecError(
            f"{len(shuffled)} items are too few to split into train, validation {validation}, test {test}"
        )
    return {
        item: "test" if rank < tested else "validation" if rank < tested + validated else "train"
        for rank, item in enumerate(shuffled)
    }


def scatter_items(items: Iterable[str], validation: float, test: float, seed: int) -> dict[str, Split]:
    """Put each item into one split by its own random number: the shares hold on average, and no item moves another.

    Arguments and errors are those of ``split_items``, but any number of items will do.
    """
    _check_shares(validation, test)
    chances = {item: seeded_number(seed, "scatter", item) / 2**64 for item in items}
    return {
        item: "test" if chance < test else "validation" if chance < test + validation else "train"
        for item, chance in chances.items()
    }


def cut_days(days: Iterable[date], validation: float, test: float) -> tuple[date, date]:
    """Return the first day of validation and the first day of the test; earlier days are for training.

    All items of one day are in one split; the cuts are those that meet the shares best.

    Args:
        days: one an item, in any order.
        validation: the share of the items for validation, at least those of one day.
        test: the share of the items for the test, the latest ones, at least those of one day.

    Raises:
        KedrecError: the shares are not above 0 or leave nothing for training, or there are fewer than three days.
    """
    _check_shares(validation, test)
    counts = Counter(days)
    known = sorted(counts)
    if len(known) < len(SPLITS) or not (validation and test):
        raise KedrecError(
            f"the dates of {counts.total()} items are {len(known)} different days: too few to split by date into "
            f"train, validation {validation}, test {test}, each of a day or more"
        )
    before = [0, *accumulate(counts[day] for day in known)]  # items before each day, and all of them

    def nearest_cut(items: float, candidates: range) -> int:
        return min(candidates, key=lambda cut: (abs(before[cut] - items), -cut))

    tested = nearest_cut((1 - test) * before[-1], range(2, len(known)))
    validated = nearest_cut(before[tested] - validation * before[-1], range(1, tested))
    return known[validated], known[tested]


def split_patients(patients: Iterable[int], validation: float, test: float, seed: int) -> dict[Split, list[int]]:
    """Return the patients of each split, in an order that the seed decides; arguments are those of ``split_items``."""
    home_of = split_items(map(str, patients), validation, test, seed)
    shuffled = seeded_order(home_of, seed, "patients")
    return {name: [int(one) for one in shuffled if home_of[one] == name] for name in SPLITS}


def check_patients(split: Mapping[Split, Sequence[int]]) -> None:
    """Make sure that no patient is in two splits.

    Raises:
        KedrecError: some are; with their number, without their identity.
    """
    times = Counter(patient for patients in split.values() for patient in set(patients))
    if several := sum(count > 1 for count in times.values()):
        raise KedrecError(f"{several} of {len(times)} patients are in more than one of {', '.join(split)}")


def check_splits(names: Iterable[str]) -> None:
    """Raise a KedrecError if one of the names is not that of a split."""
    for name in names:
        if name not in SPLITS:
            raise KedrecError(f"unknown split {name!r}; expected one of {', '.join(SPLITS)}{nearest(name, SPLITS)}")


def _check_shares(validation: float, test: float) -> None:
    if min(validation, test) < 0 or validation + test >= 1:
        raise KedrecError(
            f"validation {validation} and test {test}: expected shares of 0 or more whose sum is below 1, so that some "
            "data are left for training"
        )
