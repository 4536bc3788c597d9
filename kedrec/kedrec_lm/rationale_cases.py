"""A case: a pair of drugs for a disease, with the evidence that a teacher explains the right choice by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """A passage as a teacher reads it: its id and its sentences."""

    id: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A pair that a teacher explains.

    Attributes:
        disease, relevant, irrelevant: entity ids.
        names: the names of each of the three ids, the preferred one first.
        evidence: passages retrieved for the two drugs, from all sources, best first.
        private: whether it is patient data: only a model on this machine may explain it.
    """

    disease: str
    relevant: str
    irrelevant: str
    names: Mapping[str, Sequence[str]]
    evidence: Sequence[Evidence]
    private: bool = False
