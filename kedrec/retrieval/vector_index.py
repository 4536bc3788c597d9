"""Nearest neighbours among passage vectors: exact while they are few, an hnswlib graph beyond.

hnswlib ends the process on a damaged file and on a query of the wrong width, and takes a file of another dimension for
its own; so a manifest is checked before it reads, and shapes before each call.
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedrec.errors import KedrecError
from kedrec.storage.atomic_files import disk_faults_named, write_atomic
from kedrec.storage.hashing import file_hash

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

_FORMAT = 1
_VECTORS, _GRAPH, _IDS, _MANIFEST = "vectors.npy", "graph.hnsw", "ids.json", "manifest.json"
_ROUND = 6  # decimals of a score: below them equal vectors may differ by their row in a matrix product
_HNSW_HEADER = struct.Struct("<6Q")  # level-0 offset, capacity, count, bytes an element, label offset, data offset


def build_index(
    vectors: Vectors,
    ids: Sequence[str],
    folder: Path,
    *,
    encoder: str,
    exact_below: int = 5000,
    m: int = 16,
    ef_construction: int = 200,
    ef: int = 200,
    seed: int = 0,
) -> None:
    """Write an index of ``vectors`` into ``folder``; equal inputs give equal files.

    Args:
        vectors: ``(count, dim)``, compared by inner product: of length 1 for cosine similarity.
        ids: the passages' ids, one a vector.
        folder: where the files go; made if absent.
        encoder: `Encoder.identity` of the encoder that made the vectors.
        exact_below: the count from which on an hnswlib graph replaces exact search.
        m: links a node of the graph has on each level (hnswlib's ``M``).
        ef_construction: candidates considered for each link.
        ef: candidates considered in a search; ``k`` if that is more.
        seed: of the levels that the graph's nodes get.

    Raises:
        KedrecError: the vectors are not a finite matrix with an id a row, or the disk is full.
    """
    if vectors.ndim != 2 or len(vectors) != len(ids) or not len(ids):
        raise KedrecError(f"an index wants one id a vector; got vectors {vectors.shape} and {len(ids)} ids")
    if not np.isfinite(vectors).all():
        raise KedrecError("an index wants finite vectors; the encoder gave NaN or infinity")
    exact = len(vectors) < exact_below
    with disk_faults_named(folder, "free some space"):
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / (_VECTORS if exact else _GRAPH)
        if exact:
            np.save(data, vectors.astype(np.float32), allow_pickle=False)
        else:
            import hnswlib

            graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
            graph.init_index(max_elements=len(vectors), M=m, ef_construction=ef_construction, random_seed=seed)
            graph.add_items(vectors, np.arange(len(vectors)), num_threads=1)  # more threads: another graph each time
            graph.save_index(str(data))
        write_atomic(folder / _IDS, json.dumps(list(ids), ensure_ascii=False))
        manifest = {
            "format": _FORMAT,
            "encoder": encoder,
            "dimension": vectors.shape[1],
            "count": len(vectors),
            "space": "ip",
            "kind": "exact" if exact else "hnsw",
            "ef": ef,
            "m": m,
            "ef_construction": ef_construction,
            "sha256": {path.name: file_hash(path) for path in (data, folder / _IDS)},
        }
        write_atomic(folder / _MANIFEST, json.dumps(manifest, indent=1))


class Index:
    """Vectors that can be searched; made by `Index.load`.

    Attributes:
        ids: the passages' ids, by row.
        dimension: the width of a vector.
        exact: whether search is exact, else by hnswlib.
    """

    def __init__(self, ids: Sequence[str], dimension: int, data: Any, ef: int) -> None:
        self.ids = ids
        self.dimension = dimension
        self.exact = isinstance(data, np.ndarray)
        self._data = data
        self._ef = ef

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def load(cls, folder: Path, encoder: str) -> "Index":
        """Return the index that `build_index` wrote into ``folder``.

        Raises:
            KedrecError: a file is missing, damaged or of another index, or another encoder made the vectors.
        """
        manifest = _checked_manifest(folder, encoder)
        count, dimension = manifest["count"], manifest["dimension"]
        ids = json.loads((folder / _IDS).read_text(encoding="utf-8"))
        if manifest["kind"] == "exact":
            data = np.load(folder / _VECTORS, allow_pickle=False)
            shape = data.shape
        else:
            shape = _hnsw_shape(folder / _GRAPH)
        if shape != (count, dimension) or len(ids) != count:
            raise _unusable(folder, f"its manifest says {count} x {dimension}, its files {shape} and {len(ids)} ids")
        if manifest["kind"] == "hnsw":
            import hnswlib

            data = hnswlib.Index(space=manifest["space"], dim=dimension)
            data.load_index(str(folder / _GRAPH), max_elements=count)
        return cls(ids, dimension, data, manifest["ef"])

    def search(self, queries: Vectors, k: int) -> tuple[Rows, Vectors]:
        """Return the rows and scores of the nearest passages, best first; equal scores in the order of rows.

        Args:
            queries: ``(queries, dim)``.
            k: neighbours a query; more than there are vectors gives all of them.

        Returns:
            Rows ``(queries, k)`` and inner products ``(queries, k)``.

        Raises:
            KedrecError: the queries have another width, or hold NaN or infinity, or ``k`` is below 1.
        """
        self._check(queries, k)
        k = min(k, len(self))
        if self.exact or k == len(self):
            return _nearest(queries, self.vectors(), k)
        self._data.set_ef(max(self._ef, k))  # hnswlib forgets ef on load, and wants it no less than k
        neighbours, distances = self._data.knn_query(queries, k=k)
        rows = neighbours.astype(np.int64)
        scores = np.round(1 - distances, _ROUND).astype(np.float32)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def vectors(self) -> Vectors:
        """Return the indexed vectors, ``(count, dim)``."""
        vectors: Vectors = self._data if self.exact else np.asarray(self._data.get_items(range(len(self))), np.float32)
        return vectors

    def _check(self, queries: Vectors, k: int) -> None:
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise KedrecError(f"queries must be (queries, {self.dimension}) as the index is; these are {queries.shape}")
        if not np.isfinite(queries).all():
            raise KedrecError("queries must be finite; the encoder gave NaN or infinity")
        if k < 1:
            raise KedrecError(f"k must be 1 or more, not {k}")


def recall(index: Index, queries: Vectors, k: int) -> float:
    """Return the share of the exact ``k`` nearest, by score, that the index finds, over all queries."""
    _, scores = index.search(queries, k)
    _, exact = _nearest(queries, index.vectors(), scores.shape[1])
    worst = exact[:, -1:] - 2 * 10.0**-_ROUND  # by score: among ties at the end either may be found
    return float((scores >= worst).mean())


def _nearest(queries: Vectors, vectors: Vectors, k: int) -> tuple[Rows, Vectors]:
    """Return the exact rows and scores, a few hundred queries at a time to bound the score matrix."""
    rows, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), 256):
        part = slice(start, start + 256)
        product = np.round(queries[part] @ vectors.T, _ROUND)
        rows[part] = np.argsort(-product, axis=1, kind="stable")[:, :k]
        scores[part] = np.take_along_axis(product, rows[part], axis=1)
    return rows, scores


def _checked_manifest(folder: Path, encoder: str) -> dict[str, Any]:
    """Return the manifest, checked with the files' checksums."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as fault:
        raise _unusable(folder, f"it has no {_MANIFEST}") from fault
    except ValueError as fault:
        raise _unusable(folder, f"its {_MANIFEST} cannot be read") from fault
    fields = {"count": int, "dimension": int, "ef": int, "encoder": str, "sha256": dict}
    if (
        not isinstance(manifest, dict)
        or (manifest.get("format"), manifest.get("space")) != (_FORMAT, "ip")
        or not all(isinstance(manifest.get(name), kind) for name, kind in fields.items())
    ):
        raise _unusable(folder, f"its {_MANIFEST} is not of a kedrec index, format {_FORMAT}")
    if manifest["encoder"] != encoder:
        raise _unusable(folder, f"its vectors are of the encoder {manifest['encoder']}, not {encoder}")
    for name in (_IDS, _VECTORS if manifest.get("kind") == "exact" else _GRAPH):
        path = folder / name
        if not path.is_file() or file_hash(path) != manifest["sha256"].get(name):
            raise _unusable(folder, f"{name} is missing or damaged")
    return manifest


def _hnsw_shape(path: Path) -> tuple[int, int]:
    """Return count and dimension as the graph's own header has them; a vector lies between data and label."""
    with path.open("rb") as handle:
        header = handle.read(_HNSW_HEADER.size)
    if len(header) < _HNSW_HEADER.size:
        return (0, 0)
    _, _, count, _, label, data = _HNSW_HEADER.unpack(header)
    return (count, (label - data) // 4)


def _unusable(folder: Path, why: str) -> KedrecError:
    return KedrecError(f"index {folder}: {why}; delete the folder, and it is built again")
