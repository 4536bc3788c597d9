"""What the two papers report, with the table or section of each number and what its authors measured."""

from collections.abc import Mapping
from dataclasses import dataclass

KEDREC_LM = "KEDRec-LM, arXiv 2502.20350"
LLADR = "LLaDR, arXiv 2510.12181 (EMNLP Findings 2025, pp. 13967-13982)"


@dataclass(frozen=True)
class Published:
    """Numbers of one row of a paper's table.

    Attributes:
        name: what the paper calls the row.
        numbers: column -> number; what the paper does not give is absent.
    """

    name: str
    numbers: Mapping[str, float]


STUDENT_SOURCE = f"{KEDREC_LM}, results on expRxRec and MIMIC-III"
STUDENT_DEFINITION = (
    "Published: F1 of the drug choice and ROUGE of the rationale against the teacher's, in percent, of a LLaMA student "
    "with both sources, on expRxRec, pairs drawn from DRKG. Which F1 (binary, macro), which ROUGE, how many pairs "
    "is not said. Only the rows with both sources are recorded here; the paper's other settings and baselines stand "
    "without a published number."
)
ROUGE_IMPOSSIBLE = (
    "The published ROUGE-2 (35.17) lies above the published ROUGE-1 (35.11). The two cannot come from the same "
    "definition: two neighbouring words match only where both words match, so that in prose ROUGE-2 lies well below "
    "ROUGE-1. Ours are computed alike; no difference to a published ROUGE is a finding."
)
STUDENT_COLUMNS = {"F1": "f1", "ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
"""Columns of the paper's table -> our metrics; ours of F1 are shares."""
STUDENT = {
    "both": Published("both sources", {"F1": 88.05, "ROUGE-1": 35.11, "ROUGE-2": 35.17, "ROUGE-L": 34.03}),
    "mimic": Published("both sources, MIMIC-III", {"F1": 69.19}),
}

RANKING_SOURCE = f"{LLADR}, main results on DRKG"
RANKING_DEFINITION = (
    "Published: for each test triple of three therapeutic relations of DRKG (68,471 entities, 3,889,539 training "
    "triples, 39,829 test triples) the true disease among 49 drawn from 5,103 diseases; other true diseases are not "
    "filtered out, and the list drawn can hold the true one. Ours follows that protocol on our graph, in exact "
    "expectation over the draws, with the true disease never drawn."
)
RANKING_COLUMNS = {"MR": "mr", "MRR": "mrr", "Hits@3": "hits@3", "Hits@10": "hits@10", "AUC": "auc"}
"""Columns of the paper's table -> our metrics under ``test/pairs/lladr_published/``."""


def _row(name: str, *numbers: float | None) -> Published:
    given = zip(RANKING_COLUMNS, numbers, strict=True)
    return Published(name, {column: number for column, number in given if number is not None})


RANKING: dict[str, tuple[Published, ...]] = {
    "TransE": (_row("TransE (DGL-KE)", 6.28, 0.476, 0.568, 0.840, 0.835),),
    "TransE + LLaDR": (
        _row("TransE + LLaDR, GPT-3.5-turbo", 5.39, 0.533, 0.634, 0.871, 0.850),
        _row("TransE + LLaDR, GPT-4o-mini", 5.46, 0.529, 0.627, 0.864, 0.849),
        _row("TransE + LLaDR, LLaMA", 5.40, None, None, 0.867, 0.850),
    ),
    "DistMult": (_row("DistMult", 7.55, 0.423, 0.497, 0.786, 0.817),),
    "DistMult + LLaDR": (
        _row("DistMult + LLaDR, GPT-3.5-turbo", 6.06, 0.499, 0.588, 0.839, 0.843),
        _row("DistMult + LLaDR, GPT-4o-mini", 6.42, 0.482, 0.568, 0.821, 0.836),
        _row("DistMult + LLaDR, LLaMA", 6.32, None, None, 0.826, 0.838),
    ),
    "RotatE": (_row("RotatE", 6.06, 0.493, 0.588, 0.850, 0.837),),
    "RotatE + LLaDR": (
        _row("RotatE + LLaDR, GPT-3.5-turbo", 5.33, 0.550, 0.650, 0.873, 0.849),
        _row("RotatE + LLaDR, GPT-4o-mini", 5.52, 0.551, 0.650, 0.862, 0.844),
        _row("RotatE + LLaDR, LLaMA", 5.49, None, None, 0.862, 0.844),
    ),
    "GraphSAGE": (_row("GraphSAGE", 6.66, 0.465, 0.547, 0.813, 0.844),),
    "GAT": (_row("GAT", 6.64, 0.465, 0.550, 0.812, 0.839),),
    "KGT5": (_row("KGT5", 10.48, 0.393, 0.443, 0.650, 0.806),),
    "CSProm-KG": (_row("CSProm-KG", 9.36, 0.422, 0.491, 0.705, 0.829),),
}
"""Our name of a model -> the published rows of that model; differences are to the first."""

ROBUSTNESS_SOURCE = f"{LLADR}, ablations: noise in the graph and masked descriptions, MRR"
SHARES = (0.0, 0.2, 0.4, 0.6)
ROBUSTNESS: dict[str, dict[str, tuple[float, ...]]] = {
    "delete": {
        "TransE": (0.476, 0.442, 0.425, 0.416),
        "DistMult": (0.423, 0.412, 0.396, 0.410),
        "RotatE": (0.493, 0.482, 0.474, 0.454),
        "TransE + LLaDR": (0.533, 0.526, 0.527, 0.528),
        "DistMult + LLaDR": (0.499, 0.487, 0.486, 0.452),
        "RotatE + LLaDR": (0.550, 0.553, 0.553, 0.551),
    },
    "add": {
        "TransE": (0.476, 0.315, 0.268, 0.233),
        "DistMult": (0.423, 0.358, 0.333, 0.323),
        "RotatE": (0.493, 0.379, 0.340, 0.334),
        "TransE + LLaDR": (0.533, 0.511, 0.493, 0.476),
        "DistMult + LLaDR": (0.499, 0.465, 0.452, 0.442),
        "RotatE + LLaDR": (0.550, 0.518, 0.495, 0.477),
    },
    "masked": {
        "TransE + LLaDR": (0.529, 0.522, 0.512, 0.504),
        "DistMult + LLaDR": (0.482, 0.469, 0.457, 0.457),
        "RotatE + LLaDR": (0.551, 0.532, 0.525, 0.519),
    },
}
"""What is varied -> model -> MRR at each of `SHARES`; LLaDR with GPT-3.5 under noise, GPT-4o-mini where masked."""
VARIED = {
    "delete": "training triples deleted",
    "add": "random triples added to training",
    "masked": "descriptions masked",
}

TEXT_SOURCE = f"{LLADR}, ablations of the text, MRR, GPT-4o-mini"
TEXT: dict[str, dict[str, float]] = {
    "prompt: none": {"TransE + LLaDR": 0.523, "DistMult + LLaDR": 0.423, "RotatE + LLaDR": 0.522},
    "prompt: original": {"TransE + LLaDR": 0.529, "DistMult + LLaDR": 0.482, "RotatE + LLaDR": 0.551},
    "prompt: good": {"TransE + LLaDR": 0.532, "DistMult + LLaDR": 0.488, "RotatE + LLaDR": 0.554},
    "temperature 0.1": {"TransE + LLaDR": 0.504, "DistMult + LLaDR": 0.477, "RotatE + LLaDR": 0.531},
    "temperature 0.7": {"TransE + LLaDR": 0.529, "DistMult + LLaDR": 0.482, "RotatE + LLaDR": 0.551},
    "anchor: KL divergence": {"TransE + LLaDR": 0.522, "DistMult + LLaDR": 0.434, "RotatE + LLaDR": 0.533},
    "encoder: bge-small-v1.5": {"TransE + LLaDR": 0.504, "DistMult + LLaDR": 0.444, "RotatE + LLaDR": 0.542},
}
"""What is varied in the text -> model -> MRR."""
