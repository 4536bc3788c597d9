"""How the processes of one run share out batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lightning import Trainer

Item = TypeVar("Item")


def place_among_processes(trainer: "Trainer | None") -> tuple[int, int]:
    """Return the number of this process and how many there are."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def taking_turns(batches: Sequence[Item], rank: int, world: int) -> list[tuple[Item, bool]]:
    """Return those of all batches that this process takes, and whether each of them counts.

    All processes get the same number, so that they can run in step: one that would have fewer takes the last again,
    which does not count.
    """
    mine = [(batch, True) for batch in batches[rank::world]]
    rounds = -(-len(batches) // world)
    return mine + [(batches[-1], False) for _ in range(rounds - len(mine))]
