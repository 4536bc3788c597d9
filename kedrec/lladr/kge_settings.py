"""The groups of settings of `kedrec.lladr.kge.KGE`."""

from dataclasses import dataclass
from typing import Literal

from kedrec.errors import check_above_zero, check_least, check_share
from kedrec.lladr.anchor_projection import Projection
from kedrec.lladr.link_losses import AnchorDistance


@dataclass(frozen=True)
class AnchorLossSettings:
    """How entities are mixed with their anchors and pulled to them.

    Attributes:
        distance: between an entity and its anchor: cosine, euclidean, l1, kl, or ``null`` for no loss.
        rho: share of the learned part in an entity's row.
        zeta: weight of the anchors' loss.
        projection: how anchors are brought to the width of their share of a row: pca, slice (the authors) or learned.
    """

    distance: AnchorDistance | None = "cosine"
    rho: float = 0.6
    zeta: float = 0.5
    projection: Projection = "pca"

    def check(self) -> None:
        """Raise a KedrecError where a number is out of its range."""
        check_share("model", **{"anchor.rho": self.rho})
        check_least("model", 0, **{"anchor.zeta": self.zeta})


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimizer of rows.

    Attributes:
        name: ``adagrad`` with one accumulator per row, and ``lazy_adam``, both of which touch the rows of the batch
            only, or ``adam``, which moves every row in each step.
        learning_rate: at the start.
        drop_after: share of the steps after which the learning rate is divided by 10, as the authors do.
    """

    name: Literal["adagrad", "lazy_adam", "adam"] = "adagrad"
    learning_rate: float = 0.1
    drop_after: float = 0.5

    def check(self) -> None:
        """Raise a KedrecError where a number is out of its range."""
        check_above_zero("model", **{"optimizer.learning_rate": self.learning_rate})
        check_least("model", 0, **{"optimizer.drop_after": self.drop_after})
