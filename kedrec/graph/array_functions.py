"""The array functions in which scorers are written, and numpy's: reading embeddings does not wait for torch."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

Array = Any
"""A numpy array or a torch tensor."""


class ArrayFunctions(Protocol):
    """Functions of arrays that numpy and torch have under different names; all work along the last axis."""

    def split(self, array: Array, parts: int) -> Sequence[Array]:
        """Return equal parts of the last axis."""

    def concat(self, arrays: Sequence[Array]) -> Array:
        """Join arrays along the last axis."""

    def norm(self, array: Array, order: int) -> Array:
        """Return the L1 (``order`` 1) or L2 (2) norms over the last axis."""

    def inner(self, one: Array, other: Array) -> Array:
        """Return inner products over the last axis."""

    def moduli(self, real: Array, imaginary: Array) -> Array:
        """Return the moduli of complex numbers, elementwise."""

    def abs(self, array: Array) -> Array:
        """Return absolute values."""

    def sin(self, array: Array) -> Array:
        """Return sines."""

    def cos(self, array: Array) -> Array:
        """Return cosines."""

    def at_most(self, array: Array, bound: float) -> Array:
        """Return the values, those above the bound replaced by it."""

    def maximum(self, one: Array, other: Array) -> Array:
        """Return the elementwise maximum of two arrays."""


class NumpyFunctions:
    """numpy's."""

    def split(self, array: Array, parts: int) -> Sequence[Array]:
        """Return equal parts of the last axis."""
        return np.split(array, parts, axis=-1)

    def concat(self, arrays: Sequence[Array]) -> Array:
        """Join arrays along the last axis."""
        return np.concatenate(arrays, axis=-1)

    def norm(self, array: Array, order: int) -> Array:
        """Return norms over the last axis."""
        return np.linalg.norm(array, order, axis=-1)

    def inner(self, one: Array, other: Array) -> Array:
        """Return inner products over the last axis."""
        return np.einsum("...i,...i->...", one, other)

    def moduli(self, real: Array, imaginary: Array) -> Array:
        """Return the moduli of complex numbers."""
        return np.sqrt(real * real + imaginary * imaginary)

    def abs(self, array: Array) -> Array:
        """Return absolute values."""
        return np.abs(array)

    def sin(self, array: Array) -> Array:
        """Return sines."""
        return np.sin(array)

    def cos(self, array: Array) -> Array:
        """Return cosines."""
        return np.cos(array)

    def at_most(self, array: Array, bound: float) -> Array:
        """Return the values, those above the bound replaced by it."""
        return np.minimum(array, bound)

    def maximum(self, one: Array, other: Array) -> Array:
        """Return the elementwise maximum."""
        return np.maximum(one, other)
