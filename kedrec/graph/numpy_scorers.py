"""The scorers of `kedrec.lladr.scorers` on rows that are read: numpy alone, for importing torch takes seconds.

Formulas, sources and the layout of rows stand there; a test holds the two together.
"""

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.vocabulary import Side

Rows = NDArray[np.float32]


class Scorer:
    """What all scorers share.

    Args:
        gamma: margin.
        first: range of first values, in which phases are counted.
        learned: the scorer's own parameters, those that ``own`` names.
    """

    own: tuple[str, ...] = ()

    def __init__(self, gamma: float, first: float, learned: Mapping[str, float]) -> None:
        self.gamma = gamma
        self.first = first
        self.learned = learned

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return queries, ``(..., query width)``, for the missing side of ``(..., entity width)`` known entities."""
        raise NotImplementedError

    def pairs(self, query: Rows, entity: Rows) -> Rows:
        """Return the scores of queries against entities, ``(...)``; one of them may be a single row."""
        raise NotImplementedError

    def _phase(self, row: Rows) -> Rows:
        return row * np.float32(math.pi / self.first)


class TransE(Scorer):
    """gamma - ||h + r - t||, in L1 or, as ``TransEL2``, in L2."""

    norm = 1

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return where the missing entity should lie."""
        return entity + relation if missing == "tail" else entity - relation

    def pairs(self, query: Rows, entity: Rows) -> Rows:
        """Return gamma less the distance."""
        return cast("Rows", self.gamma - np.linalg.norm(query - entity, self.norm, axis=-1))


class TransEL2(TransE):
    """TransE with Euclidean distances."""

    norm = 2


class DistMult(Scorer):
    """sum(h * r * t)."""

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return the product of what is known."""
        return entity * relation

    def pairs(self, query: Rows, entity: Rows) -> Rows:
        """Return inner products."""
        return cast("Rows", np.einsum("...i,...i->...", query, entity))


class ComplEx(DistMult):
    """Re<h, r, conj(t)>."""

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return h * r for the tail, conj(r) * t for the head."""
        real, imaginary = np.split(relation, 2, axis=-1)
        return _rotated(entity, real, imaginary, missing)


class RotatE(Scorer):
    """gamma - sum |h * r - t|, |r| = 1."""

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return the entity turned by the relation's phases, or turned back."""
        phase = self._phase(relation)
        return _rotated(entity, np.cos(phase), np.sin(phase), missing)

    def pairs(self, query: Rows, entity: Rows) -> Rows:
        """Return gamma less the summed moduli."""
        real, imaginary = np.split(query - entity, 2, axis=-1)
        return cast("Rows", self.gamma - np.sqrt(real * real + imaginary * imaginary).sum(-1))


class PRotatE(Scorer):
    """gamma - C sum |sin((h + r - t) / 2)|."""

    own = ("modulus",)

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return phases."""
        return self._phase(entity + relation if missing == "tail" else entity - relation)

    def pairs(self, query: Rows, entity: Rows) -> Rows:
        """Return gamma less the summed sines."""
        return self.gamma - self.learned["modulus"] * _sines(query, self._phase(entity))


class HAKE(Scorer):
    """gamma - w_m ||h_m (r_m + b) - t_m (1 - b)|| - w_p sum |sin((h_p + r_p - t_p) / 2)|."""

    own = ("modulus_weight", "phase_weight")

    def query(self, entity: Rows, relation: Rows, missing: Side) -> Rows:
        """Return phases, aim and factor."""
        phase, modulus = np.split(entity, 2, axis=-1)
        turn, stretch, bias = np.split(relation, 3, axis=-1)
        stretch = np.abs(stretch)
        bias = np.maximum(np.minimum(bias, 1), -stretch)
        own, other = (stretch + bias, 1 - bias) if missing == "tail" else (1 - bias, stretch + bias)
        turned = phase + turn if missing == "tail" else phase - turn
        return np.concatenate([self._phase(turned), modulus * own, other], axis=-1)

    def pairs(self, query: Rows, entity: Rows) -> Rows:
        """Return gamma less the weighted distances of moduli and of phases."""
        phase, modulus = np.split(entity, 2, axis=-1)
        angle, aim, factor = np.split(query, 3, axis=-1)
        stretched = self.learned["modulus_weight"] * np.linalg.norm(aim - factor * modulus, axis=-1)
        turned = self.learned["phase_weight"] * _sines(angle, self._phase(phase))
        return cast("Rows", self.gamma - stretched - turned)


def _sines(query: Rows, entity: Rows) -> Rows:
    return cast("Rows", np.abs(np.sin((query - entity) / 2)).sum(-1))


def _rotated(entity: Rows, real: Rows, imaginary: Rows, missing: Side) -> Rows:
    mine_real, mine_imaginary = np.split(entity, 2, axis=-1)
    if missing == "head":
        imaginary = -imaginary
    turned = [mine_real * real - mine_imaginary * imaginary, mine_real * imaginary + mine_imaginary * real]
    return np.concatenate(turned, axis=-1)


NUMPY_SCORERS: Mapping[str, type[Scorer]] = {
    "transe_l1": TransE,
    "transe_l2": TransEL2,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
    "protate": PRotatE,
    "hake": HAKE,
}
