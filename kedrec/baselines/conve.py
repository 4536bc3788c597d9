"""ConvE as a scorer: a query is a convolution over the rows of entity and relation."""

import math

import torch
from torch import Tensor, nn

from kedrec.graph.scorers import DistMult
from kedrec.graph.vocabulary import Side
from kedrec.lladr.trainable_scorer import TrainableScorer


class ConvE(TrainableScorer, DistMult):
    """<f(vec(f([h; r] * filters)) W), t> (Dettmers et al., AAAI 2018, eq. 1); no margin.

    The two rows are arranged as images whose lines alternate. The scorer is not symmetric in the two sides of a triple:
    for the head, pass the reversed relation's row.

    Args:
        dim: of rows.
        filters: of 3 x 3 cells.
        dropout: of the convolution's output and of the query in training.
    """

    def __init__(self, dim: int, filters: int = 32, dropout: float = 0.2) -> None:
        super().__init__(DistMult(), dim, gamma=1.0)  # gamma of a dot product only sets the initial values
        self.height = next(part for part in range(math.isqrt(dim), 0, -1) if dim % part == 0)
        self.width = dim // self.height
        self.first_norm = nn.BatchNorm2d(1)
        self.convolution = nn.Sequential(
            nn.Conv2d(1, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Dropout2d(dropout),
        )
        self.projection = nn.Sequential(
            nn.Linear(filters * 2 * dim, dim, bias=False),
            nn.Dropout(dropout),
            nn.BatchNorm1d(dim),
            nn.ReLU(),
        )

    def query(self, entity: Tensor, relation: Tensor, missing: Side) -> Tensor:
        """Return ``(n, dim)`` queries of ``(n, dim)`` entities and relations, whichever side is missing."""
        images = [row.view(-1, 1, self.height, 1, self.width) for row in (entity, relation)]
        both = torch.cat(images, dim=3).flatten(2, 3)
        query: Tensor = self.projection(self.convolution(self.first_norm(both)).flatten(1))
        return query
