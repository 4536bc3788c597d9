"""Molecules as tensors for SafeDrug's two encoders (arXiv 2105.02711, sections 4.2 and 4.3), read by RDKit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kedrec.errors import KedrecError


@dataclass(frozen=True, eq=False)
class Molecules:
    """The molecules of drug labels: all atoms in one row, and the pieces that they fall into.

    Attributes:
        label: (molecules,) row of the label that each is of; ascending.
        molecule: (atoms,) row of the molecule that each is of; ascending.
        environment: (atoms,) number of each atom's environment: the atom, its bonds and the atoms at their ends.
        environments: how many kinds there are.
        bonds: (2, bonds) rows of the atoms at the two ends; each bond in both directions.
        pieces: BRICS substructures as SMILES, sorted.
        holds: (labels, pieces) bool, whether a molecule of the label has the piece.
        unreadable: SMILES that RDKit could not read, in order.
    """

    label: Tensor
    molecule: Tensor
    environment: Tensor
    environments: int
    bonds: Tensor
    pieces: list[str]
    holds: Tensor
    unreadable: list[str]


def read_molecules(smiles: Sequence[Sequence[str]]) -> Molecules:
    """Read the molecules of each label.

    Args:
        smiles: label -> SMILES of its compounds; what cannot be read is left out.

    Raises:
        KedrecError: RDKit is not installed.
    """
    try:
        from rdkit import Chem, rdBase
    except ImportError as fault:
        raise KedrecError("molecules need RDKit, which is not installed: `pip install kedrec[molecules]`") from fault
    labels: list[int] = []
    of_atom: list[int] = []
    environments: list[int] = []
    known: dict[tuple[Any, ...], int] = {}
    bonds: list[tuple[int, int]] = []
    pieces: list[set[str]] = [set() for _ in smiles]
    unreadable: list[str] = []
    with rdBase.BlockLogs():  # it writes lines to stderr for each SMILES it cannot read
        for label, texts in enumerate(smiles):
            for text in texts:
                read = Chem.MolFromSmiles(text)
                if read is None or not read.GetNumAtoms():
                    unreadable.append(text)
                    continue
                first = len(environments)
                of_atom += [len(labels)] * read.GetNumAtoms()
                environments += [known.setdefault(_environment(atom), len(known)) for atom in read.GetAtoms()]
                for bond in read.GetBonds():
                    ends = first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()
                    bonds += [ends, ends[::-1]]
                labels.append(label)
                pieces[label] |= brics_pieces(read)
    names = sorted(set().union(*pieces))
    return Molecules(
        torch.tensor(labels, dtype=torch.long),
        torch.tensor(of_atom, dtype=torch.long),
        torch.tensor(environments, dtype=torch.long),
        len(known),
        torch.tensor(bonds, dtype=torch.long).view(-1, 2).T.contiguous(),
        names,
        torch.tensor([[name in its for name in names] for its in pieces]).view(len(pieces), len(names)),
        unreadable,
    )


def brics_pieces(molecule: Any) -> set[str]:
    """Return the pieces of an RDKit molecule as SMILES, all its BRICS bonds cut at once (doi:10.1002/cmdc.200800178).

    RDKit's own decomposition cuts one bond after the other in every order, which takes hours for a peptide. Its pieces
    differ only where a double bond is cut: it leaves ends of single bonds there.
    """
    from rdkit import Chem
    from rdkit.Chem import BRICS

    cut = BRICS.BreakBRICSBonds(molecule)  # type: ignore[no-untyped-call]
    return {Chem.MolToSmiles(piece) for piece in Chem.GetMolFrags(cut, asMols=True)}


def _environment(atom: Any) -> tuple[Any, ...]:
    """Return the neighbourhood of an atom: its kind, and kind and end of each of its bonds, in no order."""
    around = sorted((str(bond.GetBondType()), *_kind(bond.GetOtherAtom(atom))) for bond in atom.GetBonds())
    return (*_kind(atom), *around)


def _kind(atom: Any) -> tuple[int, bool]:
    return atom.GetAtomicNum(), atom.GetIsAromatic()


class MoleculeEncoder(nn.Module):
    """Message passing over atoms; a label is the mean of its molecules, a molecule the mean of its atoms.

    A layer is ``h = relu(W y)``, and then each atom adds the h of its neighbours to its own. A label without a molecule
    has a learned row.

    Args:
        molecules: of the labels.
        dim: of atoms and labels.
        layers: how often messages pass.
    """

    label: Tensor
    molecule: Tensor
    environment: Tensor
    bonds: Tensor

    def __init__(self, molecules: Molecules, dim: int, layers: int) -> None:
        super().__init__()
        # Given by the data, as the labels are, and not learned.
        for name in ("label", "molecule", "environment", "bonds"):
            self.register_buffer(name, getattr(molecules, name), persistent=False)
        self.labels = len(molecules.holds)
        self.embedding = nn.Embedding(max(1, molecules.environments), dim)
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.without = nn.Parameter(torch.randn(self.labels, dim))

    def forward(self) -> Tensor:
        """Return a row for each label, ``(labels, dim)``."""
        atoms = self.embedding(self.environment)
        source, target = self.bonds
        for layer in self.layers:
            hidden = layer(atoms).relu()
            atoms = hidden.index_add(0, target, hidden[source])
        molecules, _ = _means(atoms, self.molecule, len(self.label))
        labels, sizes = _means(molecules, self.label, self.labels)
        return torch.where(sizes > 0, labels, self.without)


def _means(rows: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return each group's mean row, ``(groups, dim)``, 0 for an empty one, and the groups' sizes, ``(groups, 1)``."""
    sizes = group.bincount(minlength=groups).unsqueeze(1)
    return rows.new_zeros(groups, rows.shape[1]).index_add(0, group, rows) / sizes.clamp(min=1), sizes


class BipartiteLinear(nn.Module):
    """A linear layer without bias from pieces to labels that holds a weight only where the label has the piece.

    A label of which no piece is known sees all: with none, it would be 0 whatever the patient has.

    Args:
        holds: (labels, pieces) bool.
    """

    mask: Tensor

    def __init__(self, holds: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", (holds | ~holds.any(1, keepdim=True)).float(), persistent=False)
        bound = max(1, len(holds)) ** -0.5
        self.weight = nn.Parameter(torch.empty(holds.shape).uniform_(-bound, bound))

    def forward(self, pieces: Tensor) -> Tensor:
        """Return ``(..., labels)`` of ``(..., pieces)``."""
        return functional.linear(pieces, self.weight * self.mask)
