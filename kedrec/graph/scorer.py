"""The base class of scorers: formulas for how well head, relation and tail of a triple fit."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from kedrec.graph.array_functions import Array, ArrayFunctions, NumpyFunctions
from kedrec.graph.vocabulary import Side


class Scorer:
    """A scorer of triples; higher is better.

    A scorer turns the known entity and the relation of a triple into a query (``query``), and compares queries with the
    entities that may stand on the missing side (``pairs``). Distances are subtracted from a margin gamma, so that
    sigmoid(score) is a likelihood.

    The two methods are the whole of a scorer. They are written once, with arithmetic, ``.sum(-1)`` and the functions of
    ``xp``, and run on torch tensors in training and on numpy arrays where a run's embeddings are read. A scorer of your
    own is a subclass in a module of your own, named by ``scorer: {class_path: my_module.MyScorer}`` in a model's
    settings; arguments of its constructor are ``init_args``.

    Attributes:
        parts: widths of entity rows and of relation rows, in multiples of ``dim``.
        xp: array functions of torch or numpy.
        gamma: margin.
        range: bound of the initial values, (gamma + 2) / dim as in RotatE's code.
    """

    parts: ClassVar[tuple[int, int]] = (1, 1)
    xp: ArrayFunctions = NumpyFunctions()
    gamma: float
    range: float

    def learned_scalars(self) -> Mapping[str, float]:
        """Return the initial values of the scalars that are trained with the rows; each is an attribute of its name."""
        return {}

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return queries, ``(..., query width)``, for the missing side.

        Args:
            entity: ``(..., entity width)`` rows of the known entities.
            relation: ``(..., relation width)`` rows.
            missing: the side that is asked for. Both sides of a triple must give it the same score.
        """
        raise NotImplementedError

    def pairs(self, query: Array, entity: Array) -> Array:
        """Return the scores, ``(...)``, of queries against entities; the two shapes may broadcast."""
        raise NotImplementedError

    def initialise_relations(self, relations: Any, generator: Any) -> None:
        """Write the initial values into relation rows.

        Args:
            relations: ``(relations, relation width)`` torch tensor, changed in place.
            generator: torch's.
        """
        relations.uniform_(-self.range, self.range, generator=generator)

    def restored(self, gamma: float, value_range: float, scalars: Mapping[str, float]) -> Self:
        """Set the margin, the range and the learned scalars of a trained model; return the scorer."""
        self.gamma = gamma
        self.range = value_range
        for name, value in scalars.items():
            setattr(self, name, value)
        return self

    def phase(self, row: Array) -> Array:
        """Map the range of initial values to angles between -pi and pi."""
        return row * (math.pi / self.range)
