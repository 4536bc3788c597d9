"""Where drugs lie, for drawing irrelevant ones: by what a trained model learned, or by how often they treat."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.modalities import load_tensor
from kedrec.sources.compressed import text_lines
from kedrec.store import file_hash

log = logging.getLogger(__name__)


def run_embedding(folder: str | Path, graph: KnowledgeGraph) -> NDArray[np.float32]:
    """Return what a run of embeddings or of a graph neural network learned of the graph's compounds.

    Args:
        folder: a run's folder, or its ``embeddings`` folder.
        graph: whose compounds are asked for; the run may have been on another one.

    Returns:
        ``(compounds, dim)``, aligned with ``graph.of_type("Compound")``; zeros, with a warning, for what the run lacks.

    Raises:
        KedrecError: there are no embeddings, they are damaged, or hold none of the compounds.
    """
    weights = _weights(folder)
    rows = load_tensor(weights, "entity")
    names = weights.with_name("entities.tsv")
    ids = [content for _, content in text_lines(names)]
    if len(ids) != len(rows):
        raise KedrecError(
            f"{names}: {len(ids)} lines for {len(rows)} rows of embeddings.safetensors; export them again"
        )
    row_of = {entity: row for row, entity in enumerate(ids)}
    found = np.array([row_of.get(graph.entities[row], -1) for row in graph.of_type("Compound")], dtype=np.int64)
    if not (found >= 0).any():
        raise KedrecError(f"{names}: none of the graph's {len(found)} compounds is there; train on this graph")
    if absent := int((found < 0).sum()):
        log.warning("%s: lacks %d of the graph's %d compounds; they are like no other", names, absent, len(found))
    return np.where((found >= 0)[:, None], rows[found], 0).astype(np.float32)


def embeddings_hash(folder: str | Path) -> str:
    """Return the SHA-256 of the rows that `run_embedding` reads.

    Raises:
        KedrecError: there are none.
    """
    weights = _weights(folder)
    if not weights.is_file():
        raise KedrecError(f"{weights}: no such file; expected the folder of a finished run of a KGE or a GNN")
    return file_hash(weights)


def _weights(folder: str | Path) -> Path:
    place = Path(folder)
    return (place / "embeddings" if (place / "embeddings").is_dir() else place) / "embeddings.safetensors"


def popularity_vectors(stated: Iterable[tuple[str, str]]) -> dict[str, NDArray[np.float32]]:
    """Return drug to a point on a quarter circle by how many diseases it treats.

    The cosine of two drugs falls with the difference in the rank of that number: the nearest are as popular.

    Args:
        stated: distinct (drug, disease).
    """
    times = Counter(drug for drug, _ in stated)
    levels = sorted(set(times.values()))
    angles = {number: level / max(1, len(levels) - 1) * np.pi / 2 for level, number in enumerate(levels)}
    return {
        drug: np.array([np.cos(angles[number]), np.sin(angles[number])], dtype=np.float32)
        for drug, number in times.items()
    }
