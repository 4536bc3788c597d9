"""Heuristic baselines: they choose between two drugs without reading or learning; a trained model must beat them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kedrec.graph.knowledge_graph import KnowledgeGraph
from kedrec.graph.therapeutic import therapeutic_relations
from kedrec.graph.trained_embeddings import Exported
from kedrec.graph.trained_treatments import trained_treatments
from kedrec.splits.pairs import Pair

HeuristicBaseline = Callable[[str, str], float | None]
"""From a disease and a drug to the score of the drug; None where the baseline does not apply."""


def heuristic_baselines(
    graph: KnowledgeGraph, relations: Iterable[str], pairs: Sequence[Pair], mentions: Callable[[str], int]
) -> dict[str, HeuristicBaseline]:
    """Return the baselines that do not use the disease.

    ``degree`` chooses the drug with more edges, without the therapeutic ones, which contain the answer.
    ``most_frequent_drug`` chooses the drug that is more often relevant in training, ``literature_count`` the one that
    more passages name.

    Args:
        graph: whose edges are counted.
        relations: therapeutic ones, by full name or beginning, beside those of ``THERAPEUTIC``.
        pairs: of which those of the training split are counted.
        mentions: from a drug to the number of passages that name it.
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


def embeddings_baseline(
    exported: Exported, graph: KnowledgeGraph, relations: Sequence[str], kept: NDArray[np.int32]
) -> HeuristicBaseline:
    """Return the baseline that chooses the drug whose triple with the disease a run's embeddings score higher.

    It does not apply to a treatment that the run was trained on, also under another relation or a synonymous id.

    Args:
        exported: the run.
        graph: has the treatments.
        relations: therapeutic ones, by full name or beginning, beside those of ``THERAPEUTIC``.
        kept: ``(entities,)``: for each entity the row of the canonical one among its synonyms.
    """
    names = therapeutic_relations(graph, relations)
    trained = trained_treatments(exported, graph, relations, kept)
    forward = [name for name in names if name.endswith("Compound:Disease")]
    canonical = dict(zip(graph.entities, (graph.entities[row] for row in kept.tolist()), strict=True))

    def score(disease: str, drug: str) -> float | None:
        known = frozenset(canonical.get(one, one) for one in (drug, disease)) in trained
        return None if known else exported.score(drug, forward, disease)

    return score
