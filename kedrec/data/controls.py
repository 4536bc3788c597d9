"""Rules that choose between two drugs without reading or learning: what any trained model has to beat."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.pairs import THERAPEUTIC, Pair

Control = Callable[[str, str], float]
"""From a disease and a drug to how much the rule is for the drug."""


def blind_controls(
    graph: KnowledgeGraph, relations: Iterable[str], pairs: Sequence[Pair], mentions: Callable[[str], int]
) -> dict[str, Control]:
    """Return the rules that do not even look at the disease.

    ``degree`` is for the drug with more edges, the therapeutic ones left out: among those is the answer.
    ``most_frequent_drug`` is for the one that is more often relevant in training, ``literature_count`` for the one that
    more passages name.

    Args:
        graph: whose edges are counted.
        relations: therapeutic ones, by full name or beginning, beside those of ``THERAPEUTIC``.
        pairs: those of the training split are counted.
        mentions: drug to how many passages name it.
    """
    hidden = [graph.relation_rows[name] for name in graph.match_relations([*relations, *THERAPEUTIC], THERAPEUTIC)]
    seen = graph.triples[~np.isin(graph.triples[:, 1], hidden)]
    degrees = np.bincount(seen[:, ::2].ravel(), minlength=len(graph.entities))
    row_of = {entity: row for row, entity in enumerate(graph.entities)}
    relevant = Counter(pair.relevant for pair in pairs if pair.split == "train")
    return {
        "degree": lambda _, drug: float(degrees[row_of[drug]]) if drug in row_of else 0.0,
        "most_frequent_drug": lambda _, drug: float(relevant[drug]),
        "literature_count": lambda _, drug: float(mentions(drug)),
    }
