"""The scorers that kedrec has: TransE, DistMult, ComplEx, RotatE, pRotatE, HAKE."""

from collections.abc import Mapping
from typing import Any, Literal

from kedrec.graph.array_functions import Array
from kedrec.graph.scorer import Scorer
from kedrec.graph.vocabulary import Side

ScorerName = Literal["transe_l1", "transe_l2", "distmult", "complex", "rotate", "protate", "hake"]


class TransE(Scorer):
    """gamma - ||h + r - t|| (Bordes et al., NeurIPS 2013), in L1 or, as ``TransEL2``, in L2."""

    norm = 1

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return the position at which the missing entity is expected."""
        return entity + relation if missing == "tail" else entity - relation

    def pairs(self, query: Array, entity: Array) -> Array:
        """Return gamma minus the distance."""
        return self.gamma - self.xp.norm(query - entity, self.norm)


class TransEL2(TransE):
    """TransE with Euclidean distances."""

    norm = 2


class DistMult(Scorer):
    """sum(h * r * t) (Yang et al., ICLR 2015); no margin."""

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return the product of entity and relation; the two sides are alike."""
        return entity * relation

    def pairs(self, query: Array, entity: Array) -> Array:
        """Return inner products."""
        return self.xp.inner(query, entity)


class ComplEx(DistMult):
    """Re<h, r, conj(t)> (Trouillon et al., ICML 2016); a row holds real parts, then imaginary ones; no margin."""

    parts = (2, 2)

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return h * r for the tail, conj(r) * t for the head."""
        real, imaginary = self.xp.split(relation, 2)
        return _rotated(self, entity, real, imaginary, missing)


class RotatE(Scorer):
    """gamma - sum |h * r - t| over complex coordinates, |r| = 1 (Sun et al., ICLR 2019).

    An entity's row holds real parts, then imaginary ones; a relation's row holds phases.
    """

    parts = (2, 1)

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return the entity rotated by the relation's phases, or rotated back."""
        phase = self.phase(relation)
        return _rotated(self, entity, self.xp.cos(phase), self.xp.sin(phase), missing)

    def pairs(self, query: Array, entity: Array) -> Array:
        """Return gamma minus the summed moduli."""
        real, imaginary = self.xp.split(query - entity, 2)
        return self.gamma - self.xp.moduli(real, imaginary).sum(-1)


class PRotatE(Scorer):
    """gamma - C sum |sin((h + r - t) / 2)| over phases (Sun et al., ICLR 2019); C, ``modulus``, is learned.

    This is the paper's formula; its code omits the halving, so that opposite phases coincide.
    """

    modulus: Array

    def learned_scalars(self) -> Mapping[str, float]:
        """Return C, half the range at first."""
        return {"modulus": 0.5 * self.range}

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return phases."""
        return self.phase(entity + relation if missing == "tail" else entity - relation)

    def pairs(self, query: Array, entity: Array) -> Array:
        """Return gamma minus the summed sines."""
        return self.gamma - self.modulus * _sines(self, query, self.phase(entity))


class HAKE(Scorer):
    """gamma - w_m ||h_m r_m - t_m|| - w_p sum |sin((h_p + r_p - t_p) / 2)|, w learned (Zhang et al., AAAI 2020).

    An entity's row holds phases, then moduli; a relation's row holds phases, moduli and the bias b of the paper's eq.
    6: the modulus part is ||h_m (r_m + b) - t_m (1 - b)||, b between -r_m and 1. A query holds phases, the target of
    the modulus part, and the factor of the missing entity's modulus.
    """

    parts = (2, 3)
    phase_weight: Array
    modulus_weight: Array

    def learned_scalars(self) -> Mapping[str, float]:
        """Return the weights of the two parts."""
        return {"phase_weight": 0.5 * self.range, "modulus_weight": 1.0}

    def initialise_relations(self, relations: Any, generator: Any) -> None:
        """Start from pure rotations, as HAKE's code does: moduli 1, bias 0."""
        super().initialise_relations(relations, generator)
        _, stretch, bias = relations.chunk(3, dim=-1)
        stretch.fill_(1.0)
        bias.zero_()

    def query(self, entity: Array, relation: Array, missing: Side) -> Array:
        """Return phases, target and factor."""
        phase, modulus = self.xp.split(entity, 2)
        turn, stretch, bias = self.xp.split(relation, 3)
        stretch = self.xp.abs(stretch)
        bias = self.xp.maximum(self.xp.at_most(bias, 1), -stretch)
        if missing == "tail":
            return self.xp.concat([self.phase(phase + turn), modulus * (stretch + bias), 1 - bias])
        return self.xp.concat([self.phase(phase - turn), modulus * (1 - bias), stretch + bias])

    def pairs(self, query: Array, entity: Array) -> Array:
        """Return gamma minus the weighted distances of moduli and of phases."""
        phase, modulus = self.xp.split(entity, 2)
        angle, target, factor = self.xp.split(query, 3)
        stretched = self.modulus_weight * self.xp.norm(target - factor * modulus, 2)
        turned = self.phase_weight * _sines(self, angle, self.phase(phase))
        return self.gamma - stretched - turned


def _sines(scorer: Scorer, query: Array, entity: Array) -> Array:
    return scorer.xp.abs(scorer.xp.sin((query - entity) / 2)).sum(-1)


def _rotated(scorer: Scorer, entity: Array, real: Array, imaginary: Array, missing: Side) -> Array:
    """Return the complex product of entity and relation for the tail, of entity and conj(relation) for the head."""
    own_real, own_imaginary = scorer.xp.split(entity, 2)
    if missing == "head":
        imaginary = -imaginary
    parts = [own_real * real - own_imaginary * imaginary, own_real * imaginary + own_imaginary * real]
    return scorer.xp.concat(parts)


SCORERS: dict[ScorerName, type[Scorer]] = {
    "transe_l1": TransE,
    "transe_l2": TransEL2,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
    "protate": PRotatE,
    "hake": HAKE,
}
"""The short names of the settings."""
