"""kedrec: explainable drug recommendation, from a knowledge graph and texts to a student that chooses and explains.

The names in ``__all__`` are the Python API, see ``docs/python.md``. Each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedrec.commands.recommend.ranked_drugs import RankedDrug, rank_drugs
    from kedrec.config import compose
    from kedrec.errors import KedrecError
    from kedrec.evaluate import evaluate as evaluate_run
    from kedrec.fit import fit as run_experiment
    from kedrec.graph.named_graph import load_named_graph as load_graph
    from kedrec.splits.pairs import load_pairs
    from kedrec.training.loaded_run import open_run as load_run

__version__ = "0.1.0"

__all__ = [
    "KedrecError",
    "RankedDrug",
    "compose",
    "evaluate_run",
    "load_graph",
    "load_pairs",
    "load_run",
    "rank_drugs",
    "run_experiment",
]

# Public name -> its module and its name there; the imports above say the same to type checkers.
_ORIGINS = {
    "KedrecError": ("kedrec.errors", "KedrecError"),
    "RankedDrug": ("kedrec.commands.recommend.ranked_drugs", "RankedDrug"),
    "compose": ("kedrec.config", "compose"),
    "evaluate_run": ("kedrec.evaluate", "evaluate"),
    "load_graph": ("kedrec.graph.named_graph", "load_named_graph"),
    "load_pairs": ("kedrec.splits.pairs", "load_pairs"),
    "load_run": ("kedrec.training.loaded_run", "open_run"),
    "rank_drugs": ("kedrec.commands.recommend.ranked_drugs", "rank_drugs"),
    "run_experiment": ("kedrec.fit", "fit"),
}


def __getattr__(name: str) -> Any:
    """Import a name of the API."""
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, original = _ORIGINS[name]
    return getattr(import_module(module), original)


def __dir__() -> list[str]:
    """List the API, and what is imported already."""
    return sorted({*globals(), *__all__})
