"""Rules that choose between two drugs without reading or learning: what any trained model has to beat."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.therapeutic import therapeutic_relations
from kedrec.graph.trained_embeddings import Exported
from kedrec.graph.trained_treatments import trained_treatments
from kedrec.splits.pairs import Pair

Control = Callable[[str, str], float | None]
"""From a disease and a drug to how much the rule is for the drug; None where it has nothing to say."""


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
    hidden = [graph.relation_rows[name] for name in therapeutic_relations(graph, relations)]
    seen = graph.triples[~np.isin(graph.triples[:, 1], hidden)]
    degrees = np.bincount(seen[:, ::2].ravel(), minlength=len(graph.entities))
    row_of = {entity: row for row, entity in enumerate(graph.entities)}
    relevant = Counter(pair.relevant for pair in pairs if pair.split == "train")
    return {
        "degree": lambda _, drug: float(degrees[row_of[drug]]) if drug in row_of else 0.0,
        "most_frequent_drug": lambda _, drug: float(relevant[drug]),
        "literature_count": lambda _, drug: float(mentions(drug)),
    }


def embeddings_control(
    exported: Exported, graph: KnowledgeGraph, relations: Sequence[str], kept: NDArray[np.int32]
) -> Control:
    """Return the rule that takes the drug whose triple with the disease a run's embeddings score higher.

    It has nothing to say of a treatment that the run was trained on, be it under another relation or a namesake's id.

    Args:
        exported: the run.
        graph: says which drugs treat which diseases.
        relations: therapeutic ones, by full name or beginning, beside those of ``THERAPEUTIC``.
        kept: for each entity the row of the one that stands for its namesakes.
    """
    names = therapeutic_relations(graph, relations)
    trained = trained_treatments(exported, graph, relations, kept)
    forward = [name for name in names if name.endswith("Compound:Disease")]
    keeper = dict(zip(graph.entities, (graph.entities[row] for row in kept.tolist()), strict=True))

    def rule(disease: str, drug: str) -> float | None:
        known = frozenset(keeper.get(one, one) for one in (drug, disease)) in trained
        return None if known else exported.score(drug, forward, disease)

    return rule
