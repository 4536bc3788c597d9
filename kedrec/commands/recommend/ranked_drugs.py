"""The ranking of drugs for a disease, for Python: without a student, paths and objections."""

from dataclasses import dataclass

from kedrec.commands.recommend.drug_ranking import Known
from kedrec.commands.recommend.recommender import Recommender
from kedrec.storage.artifact_store import Store
from kedrec.training.loaded_run import FinishedRun


@dataclass(frozen=True)
class RankedDrug:
    """A drug in the ranking for a disease.

    Attributes:
        id: of the drug in the graph; of one with several ids the canonical one.
        name: preferred name; the id where the graph has none.
        rank: among all drugs, from 1.
        score: higher is better; comparable for one disease and run.
        known: ``training`` or ``held out`` where the graph calls the drug a treatment of the disease, by whether
            training has seen that; ``None`` for a new drug.
    """

    id: str
    name: str
    rank: int
    score: float
    known: Known | None


def rank_drugs(run: FinishedRun, disease: str, top: int = 10, graph: str | None = None) -> list[RankedDrug]:
    """Return the drugs that a KGE or GNN ranks highest for a disease.

    Args:
        run: finished run of a KGE or GNN.
        disease: a name, a synonym or an id.
        top: number of drugs.
        graph: where the run's graph lies now; ``None`` where the run's settings say.

    Returns:
        Drugs by rank, known treatments among them.

    Raises:
        KedrecError: the run has no embeddings, its graph is absent, or no single disease has this name.
    """
    recommender = Recommender(run, graph, Store())
    return [
        RankedDrug(one.drug, recommender.named.names(one.drug)[0], one.rank, one.score, one.known)
        for one in recommender.rank(disease).candidates[:top]
    ]
