"""Whether a rationale names the drug that was chosen."""

from kedrec.evaluation.added_metrics import Metric


class NamedDrug(Metric):
    """Share of the rationales that name the chosen drug."""

    def compute(self, rows):
        explained = [row for row in rows if "rationale" in row]
        named = [row["drugs"][row["choice"]].lower() in row["rationale"].lower() for row in explained]
        return {"named_drug": sum(named) / len(named)}
