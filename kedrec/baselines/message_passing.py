"""Message passing over a knowledge graph with DGL: the edges that carry messages, and the layers that pass them.

This module alone uses DGL, which is imported when the first graph is made.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from kedrec.errors import KedrecError, check_least

Layer = Literal["rgcn", "sage", "gat"]


@dataclass(frozen=True)
class Groups:
    """The messages of one layer by target and kind of edge: R-GCN takes the mean of each group.

    Attributes:
        into: DGL graph of sources -> groups, an edge a message. Groups are in order of their kind.
        out: DGL graph of groups -> targets.
        sizes: groups of each kind.
    """

    into: Any
    out: Any
    sizes: list[int]

    @classmethod
    def of(cls, source: Tensor, target: Tensor, kind: Tensor, sources: int, targets: int, kinds: int) -> Self:
        """Group messages, ``(edges,)`` each."""
        import dgl

        keys, group = (kind.long() * targets + target).unique(return_inverse=True)  # type: ignore[no-untyped-call]
        into = dgl.create_block((source.int(), group.int()), num_src_nodes=sources, num_dst_nodes=len(keys))
        ends = (torch.arange(len(keys)).int(), (keys % targets).int())
        out = dgl.create_block(ends, num_src_nodes=len(keys), num_dst_nodes=targets)
        return cls(into, out, (keys // targets).bincount(minlength=kinds).tolist())

    def without(self, kept: Tensor) -> Self:
        """Return the groups with the ``kept`` messages alone; a group may be empty then."""
        return replace(self, into=self.into.edge_subgraph(kept, relabel_nodes=False, store_ids=False))

    def to(self, device: torch.device) -> Self:
        """Return the same on a device."""
        return replace(self, into=self.into.to(device), out=self.out.to(device))


class MessageGraph:
    """The edges that messages run along: the training triples in both directions.

    The relation of a reversed edge is its own: ``relation + relations``.

    Args:
        triples: ``(n, 3)``.
        entities: size of the vocabulary.
        relations: size of the vocabulary.
        grouped: whether messages are asked for by kind, or as a plain DGL graph or block.
    """

    def __init__(self, triples: Tensor, entities: int, relations: int, grouped: bool) -> None:
        import dgl

        head, relation, tail = triples.long().unbind(1)
        source, target = torch.cat([head, tail]), torch.cat([tail, head])
        self.entities, self.kinds, self.grouped = entities, 2 * relations, grouped
        self.edges = len(source)
        kind = torch.cat([relation, relation + relations])
        self._graph: Any = dgl.graph((source.int(), target.int()), num_nodes=entities)
        self._graph.edata["kind"] = kind
        self.whole = Groups.of(source, target, kind, entities, entities, self.kinds) if grouped else self._graph
        self._ends = _pair(source, target, entities).sort()

    def between(self, head: Tensor, tail: Tensor) -> Tensor:
        """Return the edges, ``(m,)`` ascending, between the two ends of any of ``(n,)`` pairs, in either direction.

        They are of every relation: a pair that is known under two would else give itself away.
        """
        pairs = _pair(head, tail, self.entities).unique()  # type: ignore[no-untyped-call]
        first = torch.searchsorted(self._ends.values, pairs)
        count = torch.searchsorted(self._ends.values, pairs, side="right") - first
        within = torch.arange(int(count.sum())) - (count.cumsum(0) - count).repeat_interleave(count)
        return self._ends.indices[first.repeat_interleave(count) + within].sort().values

    def without(self, edges: Tensor) -> Any:
        """Return the messages among all entities without those of some edges."""
        mask = torch.ones(self.edges, dtype=torch.bool)
        mask[edges] = False
        kept = mask.nonzero().squeeze(1).int()
        if isinstance(self.whole, Groups):
            return self.whole.without(kept)
        return self.whole.edge_subgraph(kept, relabel_nodes=False, store_ids=False)

    def sampled(self, entities: Tensor, fanouts: list[int], without: Tensor) -> tuple[Tensor, list[Any]]:
        """Return the messages of each layer that reach ``(n,)`` entities, at most ``fanouts`` to a node.

        Args:
            entities: distinct.
            fanouts: one a layer, the first layer first.
            without: edges that carry none.

        Returns:
            The entities that the first layer reads, and messages that number them in this order.
        """
        import dgl
        from dgl.dataloading import NeighborSampler

        dgl.seed(int(torch.randint(2**31, ())))  # a checkpoint holds torch's random state, not DGL's
        sampler, threads = NeighborSampler(fanouts), dgl.utils.get_num_threads()
        dgl.utils.set_num_threads(1)  # several would share out the draws as they come, differently each time
        try:
            read, _, blocks = sampler.sample_blocks(self._graph, entities.int(), exclude_eids=without.int())
        finally:
            dgl.utils.set_num_threads(threads)
        return read.long(), [self._messages(block) for block in blocks]

    def _messages(self, block: Any) -> Any:
        """Return a sampled block as the layers take it."""
        if not self.grouped:
            return block
        source, target = block.edges()
        kind, sizes = block.edata["kind"], (block.num_src_nodes(), block.num_dst_nodes())
        return Groups.of(source.long(), target.long(), kind, *sizes, self.kinds)


def _pair(one: Tensor, other: Tensor, entities: int) -> Tensor:
    return torch.minimum(one, other) * entities + torch.maximum(one, other)


class BasisConvolution(nn.Module):
    """R-GCN's layer in basis decomposition (Schlichtkrull et al., ESWC 2018, eqs. 2 and 3), without its activation.

    ``h_i' = W_0 h_i + sum_r W_r mean_j h_j`` with ``W_r = sum_b a_rb V_b``: the means come first, so that no message
    along an edge is held in memory, as DGL's ``RelGraphConv`` does, and each mean is multiplied once.

    Args:
        width: of a row that comes in.
        out: of a row that goes out.
        kinds: of edges.
        bases: matrices that the relations share.
    """

    def __init__(self, width: int, out: int, kinds: int, bases: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, out)
        self.bases = nn.Parameter(torch.empty(bases, width, out))
        self.shares = nn.Parameter(torch.empty(kinds, bases))
        for weight in (self.bases, self.shares):
            nn.init.xavier_uniform_(weight, gain=nn.init.calculate_gain("relu"))

    def forward(self, groups: Groups, rows: Tensor) -> Tensor:
        """Return ``(targets, out)`` of ``(sources, width)``; targets are the first of the sources."""
        from dgl import ops

        weights = torch.einsum("kb,bwo->kwo", self.shares, self.bases)
        means = torch.split(ops.copy_u_mean(groups.into, rows), groups.sizes)
        turned = torch.cat([mean @ weight for mean, weight in zip(means, weights, strict=True)])
        own: Tensor = self.own(rows[: groups.out.num_dst_nodes()])
        summed: Tensor = ops.copy_u_sum(groups.out, turned)
        return own + summed


@dataclass(frozen=True)
class EncoderSettings:
    """The graph neural network that encodes entities.

    Attributes:
        layer: rgcn (with relations, in basis decomposition), sage (mean) or gat.
        width: of the hidden rows.
        layers: number of layers.
        bases: matrices that the relations of an R-GCN share.
        heads: of attention, for gat.
        dropout: share of a hidden layer's output that is dropped in training.
        fanouts: neighbours that a layer samples for each node, first layer first; ``null`` passes messages over the
            whole graph in each step, which is the faster way up to some million edges.
    """

    layer: Layer
    width: int = 128
    layers: int = 2
    bases: int = 8
    heads: int = 4
    dropout: float = 0.1
    fanouts: list[int] | None = None

    def check(self, out: int) -> None:
        """Raise a KedrecError where the settings do not fit each other, or rows of ``out`` numbers."""
        sizes = {"width": self.width, "layers": self.layers, "bases": self.bases, "heads": self.heads}
        check_least("model", 1, **{f"encoder.{name}": size for name, size in sizes.items()})
        if self.layer == "gat" and (self.width % self.heads or out % self.heads):
            raise KedrecError(
                f"model.init_args.encoder.heads: {self.heads} do not divide the widths {self.width} and {out}"
            )
        if self.fanouts is not None and len(self.fanouts) != self.layers:
            raise KedrecError(
                f"model.init_args.encoder.fanouts: {self.fanouts}; expected one number for each of {self.layers} layers"
            )


class Encoder(nn.Module):
    """Layers of message passing over learned rows and, where there are any, the entities' anchors.

    Args:
        settings: the layers.
        out: width of the last layer's rows.
        kinds: number of kinds of edges, for rgcn.
    """

    def __init__(self, settings: EncoderSettings, out: int, kinds: int) -> None:
        from dgl.nn import GATConv, SAGEConv

        super().__init__()
        self.dropout = settings.dropout
        width, heads = settings.width, settings.heads
        self.layers = nn.ModuleList()
        for to in [*[width] * (settings.layers - 1), out]:
            if settings.layer == "rgcn":
                self.layers.append(BasisConvolution(width, to, kinds, settings.bases))
            elif settings.layer == "sage":
                self.layers.append(SAGEConv(width, to, "mean"))
            else:
                self.layers.append(GATConv(width, to // heads, heads, residual=True, allow_zero_in_degree=True))

    def forward(self, layers: list[Any], rows: Tensor) -> Tensor:
        """Return ``(targets, out)`` of ``(sources, width)`` by the messages of each layer."""
        for place, (layer, messages) in enumerate(zip(self.layers, layers, strict=True)):
            if place:
                rows = functional.dropout(rows.relu(), self.dropout, self.training)
            if isinstance(messages, Groups) or not messages.is_block:
                rows = layer(messages, rows).flatten(1)
            else:
                rows = layer(messages, (rows, rows[: messages.num_dst_nodes()])).flatten(1)
        return rows
