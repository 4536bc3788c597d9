"""The vectors that entities are anchored in, projected to the width of entity rows, side by side as LLaDR has them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Modality

_TOGETHER = 512  # unseen entities that are compared with all others at a time

Projection = Literal["slice", "pca", "learned"]


class Anchors(nn.Module):
    """Vectors of several modalities side by side, each in its block of an entity's row; zero where there is none.

    The vectors are not stored in checkpoints: they follow from the data.

    Args:
        modalities: at least one; their blocks are equally wide.
        width: of an entity's row.
        projection: how a vector is brought to its block's width: ``slice`` takes its first coordinates (LLaDR's
            code), ``pca`` its principal components over the known vectors, ``learned`` multiplies it by a trained
            matrix.
        seed: of the matrices' initial values.

    Raises:
        KedrecError: a vector is shorter than its block, and not projected by a learned matrix.
    """

    def __init__(self, modalities: Sequence[Modality], width: int, projection: Projection, seed: int) -> None:
        super().__init__()
        self.learned = projection == "learned"
        edges = np.linspace(0, width, len(modalities) + 1).round().astype(int)
        widths = np.diff(edges).tolist()
        self.register_buffer("widths", torch.tensor(widths), persistent=False)
        known = np.stack([modality.known for modality in modalities], axis=1)
        self.register_buffer("known", torch.from_numpy(known), persistent=False)
        self.widths: Tensor
        self.known: Tensor
        self.vectors: Tensor
        if self.learned:
            vectors = np.concatenate([modality.vectors for modality in modalities], axis=1)
            self.dims = [modality.vectors.shape[1] for modality in modalities]
            generator = torch.Generator().manual_seed(seed)
            self.matrices = nn.ParameterList(
                nn.Parameter(torch.randn(dim, block, generator=generator) / block**0.5)
                for dim, block in zip(self.dims, widths, strict=True)
            )
        else:
            vectors = np.empty((len(known), width), dtype=np.float32)
            for modality, begin, end in zip(modalities, edges, edges[1:], strict=False):
                vectors[:, begin:end] = _projected(modality, end - begin, projection)
        self.register_buffer("vectors", torch.from_numpy(vectors), persistent=False)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the anchors of ``(n,)`` rows and, as bool, which coordinates are known: ``(n, width)`` each."""
        vectors = self.vectors[rows]
        if self.learned:
            parts = zip(torch.split(vectors, self.dims, dim=1), self.matrices, strict=True)
            vectors = torch.cat([part @ matrix for part, matrix in parts], dim=1)
        return vectors, self.known[rows].repeat_interleave(self.widths, dim=1)

    def mix_into(self, table: Tensor, rho: float, rows: int = 1 << 16) -> None:
        """Turn a table of learned rows, ``(entities, width)``, into ``rho * learned + (1 - rho) * anchor`` in place.

        Args:
            table: coordinates without an anchor stay as they are.
            rho: share of the learned rows.
            rows: number of rows that are mixed at a time.
        """
        for start in range(0, len(table), rows):
            part = table[start : start + rows]
            anchor, known = self(torch.arange(start, start + len(part)))
            part.copy_(torch.where(known, rho * part + (1 - rho) * anchor, part))


@torch.no_grad()
def initialise_unseen(learned: Tensor, anchors: Anchors, kinds: Tensor, seen: Tensor, neighbours: int) -> None:
    """Give entities without a training triple the learned parts of entities whose anchors are nearest.

    The initial values of such an entity are random, and as a corruption it is only ever pushed away, so that no query
    would rank it high. It gets the mean of the learned parts of its neighbours of the same type, scaled to their mean
    length: a mean is shorter than its terms, and an entity near the centre would be near to every query.

    Args:
        learned: ``(entities, width)``, changed in place.
        anchors: of these entities; one without any stays as it is.
        kinds: ``(entities,)`` code of each entity's type.
        seen: ``(entities,)`` bool, whether a training triple has the entity.
        neighbours: number of neighbours, by cosine.
    """
    anchored = anchors.known.any(1)
    unit = functional.normalize(anchors.vectors, dim=1)
    for kind in kinds[anchored & ~seen].unique():  # type: ignore[no-untyped-call]
        trained = (anchored & seen & (kinds == kind)).nonzero().squeeze(1)
        unseen = (anchored & ~seen & (kinds == kind)).nonzero().squeeze(1)
        for part in unseen.split(_TOGETHER) if len(trained) else ():
            near = (unit[part] @ unit[trained].T).topk(min(neighbours, len(trained)), dim=1).indices
            theirs = learned[trained[near]]
            mean = theirs.mean(1)
            length = theirs.norm(dim=2).mean(1) / mean.norm(dim=1).clamp(min=torch.finfo(mean.dtype).tiny)
            learned[part] = mean * length.unsqueeze(1)


def _projected(modality: Modality, width: int, projection: Projection) -> NDArray[np.float32]:
    """Return ``(entities, width)``."""
    if modality.vectors.shape[1] < width:
        raise KedrecError(
            f"model.init_args.anchor.projection: {projection} cannot project the {modality.vectors.shape[1]} "
            f"dimensions of {modality.name!r} to the {width} of its block of an entity's row; choose `learned`, a "
            "smaller dim, or an encoder with more dimensions"
        )
    if projection == "slice":
        return modality.vectors[:, :width]
    some = modality.vectors[modality.known]
    centred = some - some.sum(axis=0) / max(1, len(some))
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)  # ascending
    components = np.zeros((len(modality.vectors), width), dtype=np.float32)
    components[modality.known] = centred @ axes[:, : -width - 1 : -1]
    return components
