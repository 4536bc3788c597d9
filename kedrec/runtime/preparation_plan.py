"""What a preparation would do, stage by stage, for a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: what it makes.
        there: whether the store holds it already.
        work: what is to be done if not, by unit: ``{"bytes to download": 217_000_000}``; counts are upper bounds or
            estimates where nobody can know better.
        note: in words.
    """

    name: str
    there: bool
    work: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def told(self) -> str:
        """The work in one line."""
        parts = [
            f"{value:,.2f} {unit}" if unit.startswith("US dollars") else f"{value:,.0f} {unit}"
            for unit, value in self.work.items()
        ]
        return "; ".join([*parts, *([self.note] if self.note else [])])
