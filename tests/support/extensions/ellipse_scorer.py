"""A scorer from outside the package: TransE whose distance is scaled by a learned number, with a setting of its own."""

from kedrec.graph.scorer import Scorer


class EllipseScorer(Scorer):
    """gamma - scale * ||h + r - t||."""

    def __init__(self, order: int = 2) -> None:
        self.order = order

    def learned_scalars(self):
        return {"scale": 1.0}

    def query(self, entity, relation, missing):
        return entity + relation if missing == "tail" else entity - relation

    def pairs(self, query, entity):
        return self.gamma - self.scale * self.xp.norm(query - entity, self.order)
