"""Batches of true triples with corrupted entities, drawn as whole tensors; seed and epoch decide the order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Side
from kedrec.lladr.triple_batches import TripleBatch
from kedrec.lladr.triple_settings import NegativeSettings

_FIRST_COUNT = 4  # of RotatE's code: the count of an (entity, relation) that occurs once
_ODD = -7046029254386353131  # 2**64 / golden ratio: multiplication spreads packed triples over the table's high bits


class TrueTriples:
    """Looks up whether triples are true: a table of bits rules most out, a binary search decides the rest.

    Args:
        triples: ``(n, 3)`` rows of head, relation, tail.
        entities: size of the vocabulary.
        relations: size of the vocabulary.
    """

    def __init__(self, triples: Tensor, entities: int, relations: int) -> None:
        self.entities = entities
        self.relations = relations
        self.sorted = self._pack(*triples.unbind(1)).sort().values
        self.bits = max(16, (8 * len(triples)).bit_length())
        self.maybe = torch.zeros(1 << self.bits, dtype=torch.bool)
        self.maybe[self._hash(self.sorted)] = True

    def contains(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Return a bool for each triple; the three shapes may broadcast."""
        keys = self._pack(head, relation, tail)
        maybe_true = self.maybe[self._hash(keys)]
        suspects = keys[maybe_true]
        position = torch.searchsorted(self.sorted, suspects).clamp(max=len(self.sorted) - 1)
        maybe_true[maybe_true.clone()] = self.sorted[position] == suspects
        return maybe_true

    def _pack(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return (head.long() * self.relations + relation) * self.entities + tail

    def _hash(self, keys: Tensor) -> Tensor:
        return (keys * _ODD >> (64 - self.bits)) & ((1 << self.bits) - 1)


def subsampling_weights(triples: NDArray[np.int32], relations: int) -> NDArray[np.float32]:
    """Return a weight per triple, ``(n,)``: the inverse root of the count of its two queries (Sun et al., 2019).

    The queries are (head, relation, ?) and (?, relation, tail).
    """
    total = np.full(len(triples), 2 * (_FIRST_COUNT - 1), dtype=np.uint32)
    for side in (0, 2):
        queries = pl.Series("query", triples[:, side].astype(np.int64) * relations + triples[:, 1])
        total += queries.to_frame().select(pl.len().over("query")).to_series().to_numpy()
    return (1 / np.sqrt(total)).astype(np.float32)


class TripleBatches:
    """Epochs of batches; each iteration continues where the last one ended, to the end of the epoch.

    The corrupted side alternates from batch to batch. Triples that do not fill a batch are left out of the epoch.

    Attributes:
        done: number of batches so far, of all epochs: the position to continue from.

    Args:
        triples: ``(n, 3)``.
        weight: ``(n,)`` subsampling weights.
        types: ``(entities,)`` code of each entity's type: corruptions then have the type of the entity that they
            replace, and all triples of a chunk have ends of the same types; ``None`` draws from all entities.
        entities: size of the vocabulary.
        negatives: number of corruptions, and of the runs of a batch that share theirs.
        batch_size: triples a batch.
        true: the true triples, which are left out of the corruptions: drawn again where these are independent, marked
            where they are shared; ``None`` keeps them.
        seed: decides orders and corruptions together with the position; global state has no effect.
        rank: of this process.
        world: processes; each takes its own batches of the common order.
    """

    def __init__(
        self,
        triples: Tensor,
        weight: Tensor,
        types: Tensor | None,
        entities: int,
        negatives: NegativeSettings,
        batch_size: int,
        true: TrueTriples | None,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.triples, self.weight, self.entities = triples, weight, entities
        self.batch_size, self.negatives, self.chunks = batch_size, negatives.count, negatives.chunks
        self.true, self.seed, self.rank, self.world = true, seed, rank, world
        self.typed = None if types is None else _Types(types, triples)
        self.done = 0
        if len(self) == 0:
            raise KedrecError(
                f"data.init_args.loader.batch_size: {len(triples)} training triples do not fill one batch of "
                f"{batch_size} for each of {world} processes"
            )

    def __len__(self) -> int:
        rows = len(self.triples) if self.typed is None else self.typed.rows(self.batch_size // self.chunks)
        return rows // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[TripleBatch]:
        epoch, first = divmod(self.done, len(self))
        order = self._order(epoch)
        for position in range(first, len(self)):
            begin = (position * self.world + self.rank) * self.batch_size
            generator = torch.Generator().manual_seed(_mixed(self.seed, epoch, position, self.rank))
            side: Side = "head" if self.done % 2 else "tail"
            self.done += 1
            yield self._batch(order[begin : begin + self.batch_size], side, generator)

    def _order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(_mixed(self.seed, epoch, -1, 0))
        if self.typed is None:
            return torch.randperm(len(self.triples), generator=generator)
        return self.typed.order(self.batch_size // self.chunks, generator)

    def _batch(self, rows: Tensor, side: Side, generator: torch.Generator) -> TripleBatch:
        head, relation, tail = self.triples[rows].long().unbind(1)
        shape = (self.chunks, self.negatives)
        if self.typed is None:
            drawn = torch.randint(self.entities, shape, generator=generator)
        else:
            replaced = (head if side == "head" else tail)[:: self.batch_size // self.chunks]
            drawn = self.typed.draw(replaced, self.negatives, generator)
        false = None
        if self.true is not None:
            false = ~self._true(head, relation, tail, side, drawn)
            if self.chunks == self.batch_size:
                drawn, false = self._drawn_again(head, relation, tail, side, drawn, false, generator), None
        return TripleBatch(head, relation, tail, side, drawn, self.weight[rows], false)

    def _true(self, head: Tensor, relation: Tensor, tail: Tensor, side: Side, drawn: Tensor) -> Tensor:
        assert self.true is not None
        head, relation, tail = (column.view(self.chunks, -1, 1) for column in (head, relation, tail))
        drawn = drawn.unsqueeze(1)
        return self.true.contains(*((drawn, relation, tail) if side == "head" else (head, relation, drawn)))

    def _drawn_again(
        self, head: Tensor, relation: Tensor, tail: Tensor, side: Side, drawn: Tensor, false: Tensor, generator: Any
    ) -> Tensor:
        """Draw true corruptions again until none is left, a hundred times at most: some queries have few others."""
        for _ in range(100):
            wrong = ~false.squeeze(1)
            if not wrong.any():
                break
            if self.typed is None:
                fresh = torch.randint(self.entities, drawn.shape, generator=generator)
            else:
                fresh = self.typed.draw(head if side == "head" else tail, self.negatives, generator)
            drawn = torch.where(wrong, fresh, drawn)
            false = ~self._true(head, relation, tail, side, drawn)
        return drawn


class _Types:
    """Entities by type, and triples by the types of their two ends.

    Args:
        types: ``(entities,)`` codes.
        triples: ``(n, 3)``.
    """

    def __init__(self, types: Tensor, triples: Tensor) -> None:
        self.types = types
        self.members = types.argsort(stable=True)
        self.sizes = types.bincount()
        self.starts = self.sizes.cumsum(0) - self.sizes
        ends = types[triples[:, 0].long()] * len(self.sizes) + types[triples[:, 2].long()]
        self.groups = [torch.nonzero(ends == int(code)).squeeze(1) for code in np.unique(ends.numpy())]

    def rows(self, chunk: int) -> int:
        """Return the length of an order, triples that fill up chunks included."""
        return sum(-(-len(group) // chunk) * chunk for group in self.groups)

    def order(self, chunk: int, generator: torch.Generator) -> Tensor:
        """Return rows of triples in chunks of one group each, shuffled; a group's last chunk is filled up from it."""
        runs = []
        for group in self.groups:
            rows = group[torch.randperm(len(group), generator=generator)]
            missing = -len(rows) % chunk
            again = group[torch.randint(len(group), (missing,), generator=generator)]
            runs.append(torch.cat([rows, again]).view(-1, chunk))
        chunks = torch.cat(runs)
        return chunks[torch.randperm(len(chunks), generator=generator)].flatten()

    def draw(self, replaced: Tensor, negatives: int, generator: torch.Generator) -> Tensor:
        """Return ``(n, negatives)`` entities of the types of ``(n,)`` entities."""
        kind = self.types[replaced].unsqueeze(1)
        share = torch.rand((len(replaced), negatives), generator=generator, dtype=torch.float64)
        return self.members[self.starts[kind] + (share * self.sizes[kind]).long()]


def _mixed(*parts: int) -> int:
    """Return one seed for several numbers."""
    return int(np.random.SeedSequence([part + 1 for part in parts]).generate_state(1, np.uint64)[0] >> 1)
