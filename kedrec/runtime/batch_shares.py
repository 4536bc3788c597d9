"""How the processes of one run share out batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lightning import Trainer

Item = TypeVar("Item")


def place_among_processes(trainer: "Trainer | None") -> tuple[int, int]:
    """Return the rank of this process and the world size; (0, 1) without a trainer."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def taking_turns(batches: Sequence[Item], rank: int, world: int) -> list[tuple[Item, bool]]:
    """Return the batches of one process, each with whether it counts.

    Every process gets the same number of batches, because collective operations need all of them. A process that would
    have one batch less repeats the last batch, which does not count.

    Args:
        batches: of all processes, in order.
        rank: of this process.
        world: number of processes.
    """
    mine = [(batch, True) for batch in batches[rank::world]]
    rounds = -(-len(batches) // world)
    return mine + [(batches[-1], False) for _ in range(rounds - len(mine))]
