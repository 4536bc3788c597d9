"""TransE with the squared distance."""

from kedrec.graph.scorer import Scorer


class SquaredTransE(Scorer):
    """gamma - ||h + r - t||^2."""

    def query(self, entity, relation, missing):
        return entity + relation if missing == "tail" else entity - relation

    def pairs(self, query, entity):
        return self.gamma - ((query - entity) ** 2).sum(-1)
