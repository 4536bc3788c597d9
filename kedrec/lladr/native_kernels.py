"""The C++ of this folder, compiled for the present processor on first use; the store holds the library."""

import ctypes
import functools
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kedrec.errors import KedrecError
from kedrec.storage.artifact_store import Store
from kedrec.storage.hashing import file_hash

log = logging.getLogger(__name__)

LANES = 16  # numbers in the widest vector that tiles.cpp uses: each part of a row is padded to a multiple

PARTS = {"l1": 1, "rotation": 2, "sine": 2}  # of a row, for each distance that tiles.cpp has
GRADIENTS = {"l1": 1, "rotation": 2, "sine": 1}  # parts of a row's gradient

_SOURCES = [Path(__file__).with_name(name) for name in ("tiles.cpp", "rows.cpp")]
_OPTIONS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")
_LIBRARY = "kedrec.so"


class _Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("chunks", "queries", "candidates", "dim")),
        ("threads", ctypes.c_int),
    )


class _Gradients(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rows", "places", "values")),
        *((name, ctypes.c_int64) for name in ("count", "width")),
        ("threads", ctypes.c_int),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions; ``None`` without a compiler or, with a warning, where it fails."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        return None
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        sources = [file_hash(source) for source in _SOURCES]
        key = {"sources": sources, "compiler": version, "options": _OPTIONS, "processor": _processor()}

        def build(folder: Path) -> None:
            command = [compiler, *_OPTIONS, *map(str, _SOURCES), "-o", str(folder / _LIBRARY)]
            subprocess.run(command, capture_output=True, text=True, check=True)

        try:
            return ctypes.CDLL(str(Store().get("native", key, build) / _LIBRARY))
        except (KedrecError, OSError):  # a store that cannot be written serves runs as well
            with tempfile.TemporaryDirectory() as folder:
                build(Path(folder))
                return ctypes.CDLL(str(Path(folder, _LIBRARY)))
    except (subprocess.CalledProcessError, OSError) as fault:
        said = (getattr(fault, "stderr", None) or "").strip() or str(fault)
        log.warning("%s could not compile kedrec's C++ (%s); slower code is used", compiler, said.splitlines()[-1])
        return None


def tile(kind: str, queries: Tensor, candidates: Tensor) -> Tensor:
    """Return distances, ``(chunks, queries, candidates)``.

    Args:
        kind: one of ``PARTS``.
        queries: ``(chunks, queries, parts * dim)``, contiguous, float32, on the CPU; dim a multiple of ``LANES``.
        candidates: ``(chunks, candidates, parts * dim)``, the same.
    """
    shape = _shape(kind, queries, candidates)
    out = queries.new_empty(shape.chunks, shape.queries, shape.candidates)
    _call(f"{kind}_forward", (queries, candidates, out), shape)
    return out


def tile_gradients(kind: str, weights: Tensor, queries: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of queries and candidates, ``(chunks, n, gradients * dim)`` each.

    Args:
        kind: one of ``GRADIENTS``.
        weights: ``(chunks, queries, candidates)``, contiguous: the gradients of the distances.
        queries: as in ``tile``.
        candidates: as in ``tile``.
    """
    shape = _shape(kind, queries, candidates)
    width = GRADIENTS[kind] * shape.dim
    of_queries, of_candidates = (rows.new_empty(*rows.shape[:2], width) for rows in (queries, candidates))
    _call(f"{kind}_backward", (weights, queries, candidates, of_queries, of_candidates), shape)
    return of_queries, of_candidates


def update_rows(
    kind: str, table: Tensor, states: Sequence[Tensor], rows: Tensor, grad: Tensor, numbers: Sequence[float]
) -> None:
    """Update in place the rows of a table and of an optimizer's state that have gradients.

    Args:
        kind: ``adagrad`` or ``adam``.
        table: ``(rows, width)``, contiguous, float32, on the CPU.
        states: the further tables of rows.cpp, in its order; likewise.
        rows: ``(n,)`` row numbers; the gradients of a repeated row are summed.
        grad: ``(n, width)``, the gradients; likewise.
        numbers: the arguments of rows.cpp after the gradients.
    """
    assert grad.shape == (len(rows), table.shape[1])
    assert all(len(state) == len(table) for state in states)
    ascending, places = rows.sort(stable=True)
    given = _Gradients(ascending.data_ptr(), places.data_ptr(), grad.data_ptr(), *grad.shape, torch.get_num_threads())
    _call(f"row_{kind}", (table, *states), given, *map(ctypes.c_float, numbers), also=(grad,))


def usable(*tensors: Tensor) -> bool:
    """Return whether the compiled functions take all of these tensors."""
    fit = all(tensor.is_cpu and tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in tensors)
    return fit and library() is not None


def _shape(kind: str, queries: Tensor, candidates: Tensor) -> _Shape:
    assert (len(queries), queries.shape[2]) == (len(candidates), candidates.shape[2])
    assert queries.shape[2] % (PARTS[kind] * LANES) == 0
    return _Shape(*queries.shape[:2], candidates.shape[1], queries.shape[2] // PARTS[kind], torch.get_num_threads())


def _call(name: str, tensors: Sequence[Tensor], *others: Any, also: Sequence[Tensor] = ()) -> None:
    """Call a function of the library; assert that it can read the tensors' memory."""
    functions = library()
    assert functions is not None
    assert usable(*tensors, *also), name
    function = getattr(functions, name)
    function.restype = None
    function(*(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors), *others)


def _processor() -> str:
    """Return the processor's instruction sets, which may differ among nodes that share a store."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return platform.machine() + next((line for line in lines if line.startswith(("flags", "Features"))), "")
