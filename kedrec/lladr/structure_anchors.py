"""Vectors of entities from other sources than text: molecular structure, and matrices of the user."""

import logging
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.graph.vocabulary import Modality
from kedrec.sources.graph.molecules import load_smiles, morgan_fingerprints
from kedrec.storage.compressed_text import text_lines

log = logging.getLogger(__name__)

_LISTED = 20  # compounds that a log line lists


def fingerprint_modality(
    entities: Sequence[str], smiles_file: str | Path, radius: int = 2, bits: int = 2048
) -> Modality:
    """Return Morgan fingerprints, ``(entities, bits)`` of 0 and 1, of the entities that have a SMILES.

    A SMILES that RDKit cannot read is logged, and leaves its entity without a fingerprint.

    Args:
        entities: of the graph, by row.
        smiles_file: as `load_smiles` reads it; compounds that the graph lacks are ignored.
        radius: bonds from its centre that an atom's surroundings reach.
        bits: length of a fingerprint.

    Raises:
        KedrecError: RDKit is not installed, or the file is malformed.
    """
    smiles = load_smiles(smiles_file)
    rows = [row for row, entity in enumerate(entities) if entity in smiles]
    prints, valid = morgan_fingerprints([smiles[entities[row]] for row in rows], radius, bits)
    known = np.zeros(len(entities), bool)
    known[rows] = valid
    # most entities are not compounds: their rows are pages that never take memory
    vectors = np.zeros((len(entities), bits), np.float32)
    vectors[rows] = prints
    log.info("%s: fingerprints of %d of %d entities", smiles_file, known.sum(), len(entities))
    if invalid := [entities[row] for row, good in zip(rows, valid, strict=True) if not good]:
        more = ", ..." if len(invalid) > _LISTED else ""
        named = ", ".join(invalid[:_LISTED]) + more
        log.warning("%s: %d SMILES of %d cannot be read: %s", smiles_file, len(invalid), len(rows), named)
    return Modality("fingerprint", vectors, known)


def matrix_modality(path: str | Path, entities: Sequence[str]) -> Modality:
    """Return a matrix of the user, named after its file.

    Args:
        path: a safetensors file with the tensor ``vectors``, ``(rows, dim)``; beside it ``<stem>.tsv`` with the entity
            of each row, one a line, without a header.
        entities: of the graph, by row; those that the matrix lacks are unknown.

    Raises:
        KedrecError: a file is missing or malformed, rows and lines differ in number, an entity is repeated or not in
            the graph, or a vector holds NaN or infinity.
    """
    path = Path(path)
    vectors, names = _tensor(path), path.with_suffix(".tsv")
    listed = [content.removesuffix("\r") for _, content in text_lines(names)]
    if len(listed) != len(vectors):
        raise KedrecError(
            f"{path}: `vectors` has {len(vectors)} rows and {names} {len(listed)} lines; "
            "write one entity id a line, in the order of the rows and without a header"
        )
    places = {entity: row for row, entity in enumerate(entities)}
    if unknown := [entity for entity in listed if entity not in places]:
        raise KedrecError(
            f"{names}: {len(unknown)} of {len(listed)} entities are not in the graph, e.g. {unknown[0]!r}; "
            f"write ids as the graph does, such as {entities[0]!r}, and leave out the rows of other entities"
        )
    entity, times = max(Counter(listed).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise KedrecError(f"{names}: {entity!r} is on {times} lines; keep one row of each entity")
    if (broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))).size:
        raise KedrecError(
            f"{path}: {broken.size} rows hold NaN or infinity, the first that of {listed[broken[0]]!r}; "
            "leave out an entity that has no vector"
        )
    rows = [places[entity] for entity in listed]
    spread = np.zeros((len(entities), vectors.shape[1]), np.float32)
    spread[rows] = vectors
    known = np.zeros(len(entities), bool)
    known[rows] = True
    return Modality(path.stem, spread, known)


def _tensor(path: Path) -> NDArray[np.float32]:
    """Return the tensor ``vectors`` of a safetensors file, ``(rows, dim)``, from any floating type."""
    from safetensors import SafetensorError, safe_open

    expected = "expected a safetensors file with a tensor `vectors` (rows, dim) of a floating type"
    try:
        with safe_open(path, framework="pt") as tensors:  # numpy has no bfloat16
            names = list(tensors.keys())
            vectors = tensors.get_tensor("vectors") if "vectors" in names else None
    except FileNotFoundError as fault:
        raise KedrecError(f"{path}: no such file; {expected}") from fault
    except (OSError, SafetensorError) as fault:
        raise KedrecError(f"{path}: cannot be read ({fault}); {expected}") from fault
    if vectors is None:
        raise KedrecError(f"{path}: its tensors are {', '.join(names) or 'none'}; {expected}")
    if vectors.ndim != 2 or not vectors.is_floating_point():
        raise KedrecError(f"{path}: `vectors` is {tuple(vectors.shape)} of {vectors.dtype}; {expected}")
    matrix: NDArray[np.float32] = vectors.float().numpy()
    return matrix
