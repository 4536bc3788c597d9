"""Computes a map of a run's embeddings: entities of each type on the first two principal components."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.sources.graph.entity_ids import entity_type

TYPES = 6  # types shown, those with most entities
OF_A_TYPE = 60  # entities shown per type


@dataclass(frozen=True, eq=False)
class Map:
    """Coordinates of entities in the plane.

    Attributes:
        places: type -> (entities, 2) coordinates.
        ids: type -> the entities' ids, in the same order.
        explained: (2,) share of the variance of the entities shown along each direction.
    """

    places: dict[str, NDArray[np.float64]]
    ids: dict[str, list[str]]
    explained: NDArray[np.float64]


def embedding_map(run: Path, seed: int = 0) -> Map | None:
    """Return the map of a run's embeddings, by principal components (Pearson, 1901).

    Args:
        run: the run folder.
        seed: of the draw of entities, which is the same for all models of a graph.

    Returns:
        The map; ``None`` if the run has no embeddings, if they have one row or column, or if they are not finite, as
        after a training that diverged.

    Raises:
        KedrecError: a file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = run / "embeddings"
    path = folder / "embeddings.safetensors"
    if not path.is_file():
        return None
    try:
        table = load_file(path)["entity"]
    except (OSError, SafetensorError, KeyError) as fault:
        raise KedrecError(f"{path}: cannot be read ({fault}); train the run again") from fault
    try:
        ids = (folder / "entities.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as fault:
        raise KedrecError(f"{folder / 'entities.tsv'}: cannot be read ({fault}); train the run again") from fault
    if len(ids) != len(table):
        raise KedrecError(
            f"{folder / 'entities.tsv'}: {len(ids)} lines, but {path} has {len(table)} rows; train the run again"
        )
    by_type: dict[str, list[int]] = {}
    for row, entity in enumerate(ids):
        by_type.setdefault(entity_type(entity), []).append(row)
    largest = sorted(sorted(by_type), key=lambda kind: -len(by_type[kind]))[:TYPES]
    draw = np.random.default_rng(seed)
    drawn = {kind: np.sort(draw.permutation(by_type[kind])[:OF_A_TYPE]) for kind in largest}
    rows = np.concatenate(list(drawn.values()))
    values = table[rows].astype(np.float64)
    if min(values.shape) < 2 or not np.isfinite(values).all():
        return None
    values -= values.mean(0)
    left, spread, right = np.linalg.svd(values, full_matrices=False)
    signs = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(1)])  # the sign of a component is arbitrary
    flat = left[:, :2] * spread[:2] * signs
    ends = np.cumsum([len(of) for of in drawn.values()])[:-1]
    places = dict(zip(drawn, np.split(flat, ends), strict=True))
    total = float(np.square(spread).sum())
    explained = np.square(spread[:2]) / total if total else np.zeros(2)
    return Map(places, {kind: [ids[row] for row in of] for kind, of in drawn.items()}, explained)
