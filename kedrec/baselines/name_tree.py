"""The likelihood of many names at once: names as a tree of their common prefixes, decoded in one pass per query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

_NODES = 160  # of a tree: attention grows with their square; smaller trees were no faster, and share less


@dataclass(frozen=True)
class NameTree:
    """Some names as a tree whose nodes are their distinct prefixes, parents before children.

    Attributes:
        name: (names,) rows of the names.
        read: (nodes,) the token that a node reads: the last of its prefix, or the start token at the root.
        depth: (nodes,) number of tokens before it.
        sees: (nodes, nodes) bool, whether the second node is the first or an ancestor of it.
        node: (names, longest) the node at which each token of a name is predicted; 0 after its end.
        token: (names, longest) that token.
        inside: (names, longest) bool, false after a name's end.
    """

    name: Tensor
    read: Tensor
    depth: Tensor
    sees: Tensor
    node: Tensor
    token: Tensor
    inside: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the tree on ``device``."""
        return type(self)(*(getattr(self, one.name).to(device) for one in fields(self)))


def name_trees(names: Sequence[Sequence[int]], start: int, nodes: int = _NODES) -> list[NameTree]:
    """Return trees that hold each name once, alphabetic neighbours together.

    Args:
        names: the tokens of each name, the end token among them.
        start: the token that a decoder reads first.
        nodes: most nodes of a tree, unless one name alone has more.
    """
    return [_tree(names, group, start) for group in _groups(names, nodes)]


def _groups(names: Sequence[Sequence[int]], nodes: int) -> Iterator[list[int]]:
    """Yield rows of names, in the order of their tokens; each group has at most so many distinct prefixes."""
    group: list[int] = []
    size = 0
    for row in sorted(range(len(names)), key=lambda row: list(names[row])):
        new = len(names[row]) - (_shared(names[group[-1]], names[row]) if group else 0)
        if group and size + new > nodes:
            yield group
            group, size, new = [], 0, len(names[row])
        group.append(row)
        size += new
    if group:
        yield group


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many nodes two names share: the root, and one for each equal token."""
    most = min(len(one), len(other))
    equal = next((length for length in range(most) if one[length] != other[length]), most)
    return min(equal + 1, most)


def _tree(names: Sequence[Sequence[int]], group: Sequence[int], start: int) -> NameTree:
    read, depth, parent = [start], [0], [0]
    path = [0]
    longest = max(len(names[row]) for row in group)
    node, token = np.zeros((2, len(group), longest), dtype=np.int64)
    inside = np.zeros((len(group), longest), dtype=np.bool_)
    before: Sequence[int] = ()
    for at, row in enumerate(group):
        name = names[row]
        path = path[: max(_shared(before, name), 1)]
        while len(path) < len(name):  # the last token is predicted, and not read
            read.append(name[len(path) - 1])
            depth.append(len(path))
            parent.append(path[-1])
            path.append(len(read) - 1)
        node[at, : len(name)], token[at, : len(name)], inside[at, : len(name)] = path, name, True
        before = name
    sees = np.eye(len(read), dtype=np.bool_)
    for one in range(1, len(read)):
        sees[one] |= sees[parent[one]]
    parts = (np.array(group), np.array(read), np.array(depth), sees, node, token, inside)
    return NameTree(*(torch.from_numpy(part) for part in parts))


def tree_log_likelihood(net: Any, tree: NameTree, states: Tensor, mask: Tensor) -> Tensor:
    """Return the log-likelihood of each of a tree's names, nats, ``(queries, names)``.

    All nodes are decoded in one pass, in which a node attends to its ancestors only, at the distance of their depths.
    The result equals that of teacher forcing name by name, without decoding a common prefix twice.

    Args:
        net: a T5 of transformers.
        tree: of names in the net's tokens.
        states: ``(queries, time, width)`` the encoder's.
        mask: ``(queries, time)``, 1 for tokens.
    """
    logits = _decoded(net, tree, states, mask)
    known = logits[:, tree.node, tree.token] - logits.logsumexp(-1)[:, tree.node]
    return torch.where(tree.inside, known, 0.0).sum(-1)


def _decoded(net: Any, tree: NameTree, states: Tensor, mask: Tensor) -> Tensor:
    """Return the logits of the token after each node, ``(queries, nodes, tokens)``."""
    decoder = net.decoder
    least = torch.finfo(states.dtype).min
    attention = decoder.block[0].layer[0].SelfAttention
    bucket = attention._relative_position_bucket(
        tree.depth[None, :] - tree.depth[:, None],
        bidirectional=False,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )
    bias = attention.relative_attention_bias(bucket).permute(2, 0, 1).unsqueeze(0)
    own = torch.where(tree.sees, 0.0, least)[None, None]
    crossed = torch.where(mask.bool(), 0.0, least)[:, None, None]
    rows = decoder.embed_tokens(tree.read).expand(len(states), -1, -1)
    cross_bias = None
    for block in decoder.block:
        rows, _, cross_bias = block(rows, own, bias, states, crossed, cross_bias)
    rows = decoder.final_layer_norm(rows)
    if net.config.scale_decoder_outputs:
        rows = rows * net.config.d_model**-0.5
    logits: Tensor = net.lm_head(rows)
    return logits
