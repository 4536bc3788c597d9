"""The stages of a preparation, for ``kedrec.prepare --dry-run``."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: of the artefact that the stage makes.
        there: whether the store holds it already.
        work: amount of work if not, by unit: ``{"bytes to download": 217_000_000}``; upper bounds or estimates where
            the amount cannot be known.
        note: a remark, in words.
    """

    name: str
    there: bool
    work: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def told(self) -> str:
        """The work and the note in one line."""
        parts = [
            f"{value:,.2f} {unit}" if unit.startswith("US dollars") else f"{value:,.0f} {unit}"
            for unit, value in self.work.items()
        ]
        return "; ".join([*parts, *([self.note] if self.note else [])])
