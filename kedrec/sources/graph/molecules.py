"""Reads SMILES of compounds, and computes Morgan fingerprints from them with RDKit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import is_entity
from kedrec.storage.compressed_text import find_beside, text_lines


def find_smiles_file(graph_path: str | Path) -> Path | None:
    """Return ``compound_smiles.tsv[.gz|.zst]`` in the graph's folder, or beside its file; ``None`` if there is none."""
    path = Path(graph_path)
    return find_beside(path if path.is_dir() else path.parent, ("compound_smiles.tsv",))


def load_smiles(path: str | Path) -> dict[str, str]:
    """Read a TSV (plain, .gz, .zst) with a header; the columns ``entity`` and ``smiles`` are used.

    Returns:
        Entity to SMILES, in the file's order; the SMILES are not checked.

    Raises:
        KedrecError: the file is missing or damaged; the header lacks a column or a line has another number of columns;
            an entity is not ``Type::id`` or occurs twice. The message names file and line.
    """
    path = Path(path)
    found: dict[str, str] = {}
    columns: list[str] = []
    for line, content in text_lines(path):
        fields = content.removesuffix("\r").split("\t")
        if line == 1:
            columns = fields
            if missing := [name for name in ("entity", "smiles") if name not in columns]:
                raise KedrecError(
                    f"{path}:1: the header lacks {' and '.join(missing)}; expected entity and smiles, separated by tabs"
                )
            continue
        if len(fields) != len(columns):
            raise KedrecError(f"{path}:{line}: {len(fields)} columns, expected {len(columns)} ({', '.join(columns)})")
        row = dict(zip(columns, fields, strict=True))
        entity = row["entity"]
        if not is_entity(entity):
            raise KedrecError(f"{path}:{line}: {entity!r} is not an entity id; expected Type::id")
        if entity in found:
            raise KedrecError(f"{path}:{line}: {entity!r} occurs a second time; keep one line for each entity")
        found[entity] = row["smiles"]
    if not found:
        raise KedrecError(f"{path}: it holds no SMILES; expected a header and one line for each compound")
    return found


def morgan_fingerprints(
    smiles: Sequence[str], radius: int = 2, bits: int = 2048
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return Morgan fingerprints of molecules; the defaults give ECFP4 (doi:10.1021/ci100050t).

    Args:
        smiles: one string per molecule.
        radius: radius of an atom's neighbourhood, bonds.
        bits: length of a fingerprint.

    Returns:
        Fingerprints, ``(molecules, bits)`` of 0 and 1, and ``(molecules,)`` bool, whether RDKit could parse the SMILES;
        rows of SMILES that it could not parse are zero.

    Raises:
        KedrecError: RDKit is not installed.
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem import rdFingerprintGenerator
    except ImportError as fault:
        raise KedrecError(
            "fingerprints of molecules need RDKit, which is not installed: `pip install kedrec[molecules]`"
        ) from fault
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    prints = np.zeros((len(smiles), bits), np.uint8)
    valid = np.zeros(len(smiles), bool)
    with rdBase.BlockLogs():  # RDKit writes to stderr for each SMILES that it cannot parse
        for row, text in enumerate(smiles):
            molecule = Chem.MolFromSmiles(text)
            if molecule is not None and molecule.GetNumAtoms():  # an empty string parses as an empty molecule
                prints[row] = generator.GetFingerprintAsNumPy(molecule)
                valid[row] = True
    return prints, valid
