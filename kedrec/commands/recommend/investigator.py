"""The evidence on a recommended drug: the student's explanation, paths in the graph, objections."""

from collections.abc import Sequence
from functools import cached_property

from kedrec.commands.recommend.adverse_trials import adverse_trials
from kedrec.commands.recommend.comparable_drugs import comparable_drugs
from kedrec.commands.recommend.explainer import Explainer
from kedrec.commands.recommend.objections import Objection, graph_objections, trial_objections
from kedrec.commands.recommend.recommendation import Details, Explanation, NamedPath, Node, Ranked
from kedrec.graph.paths import Path, PathFinder
from kedrec.text.excerpt import name_pattern
from kedrec.text.passage import Passage

_SHORTEST = 4  # letters; shorter names are mostly abbreviations that mean other things
_PATHS = 5


class Investigator:
    """Collects the evidence on drugs.

    Args:
        explainer: a student with the graph and the texts.
        therapeutic: relations of the graph, by full name, that state a treatment.
    """

    def __init__(self, explainer: Explainer, therapeutic: Sequence[str]) -> None:
        self.explainer = explainer
        self.therapeutic = therapeutic
        self.corpus = explainer.corpus
        self.named = explainer.corpus.named

    def details(self, ranked: Ranked, drugs: Sequence[str], metapath: str | None) -> dict[str, Details]:
        """Return the evidence on each drug.

        Args:
            ranked: all drugs, for the disease.
            drugs: ids.
            metapath: types of the paths to return; ``None`` for all.

        Raises:
            KedrecError: the meta-path is none from a drug to a disease.
        """
        disease = ranked.disease.id
        found = {drug: self._paths.find(drug, disease, _PATHS, metapath) for drug in drugs}
        graph = self.named.merged
        named = {one.drug for one in ranked.candidates if self.named.names(one.drug) != (one.drug,)}
        others = comparable_drugs(graph, self.therapeutic, ranked.candidates, drugs, named)
        compared = [(drug, others[drug]) for drug in drugs if drug in others]
        answers = self.explainer.explain(disease, compared) if compared else []
        explained = {drug: one for (drug, _), one in zip(compared, answers, strict=True)}
        naming = self._naming(disease)
        return {
            drug: Details(
                explanation=explained.get(drug),
                paths=tuple(self._named(path) for path in found[drug].best),
                metapaths=found[drug].metapaths,
                direct=found[drug].direct,
                naming_both=None if naming is None else len(self._of(naming, drug)),
                against=tuple(self._against(drug, disease, naming, explained.get(drug))),
            )
            for drug in drugs
        }

    @cached_property
    def _paths(self) -> PathFinder:
        return PathFinder(self.named.merged, self.therapeutic)

    def _named(self, path: Path) -> NamedPath:
        nodes = tuple(Node(node, self.named.names(node)[0]) for node in path.nodes)
        once = tuple(tuple({link.relation: link for link in step}.values()) for step in path.steps)
        return NamedPath(path.types, float(f"{path.score:.4g}"), nodes, once)

    def _naming(self, entity: str) -> list[Passage] | None:
        """Return the passages, of any source, that name an entity; ``None`` where there are no texts."""
        return None if self.corpus.retriever is None else self._of(self.corpus.passages, entity)

    def _of(self, passages: Sequence[Passage], entity: str) -> list[Passage]:
        names = [name for name in self.named.names(entity) if len(name) >= _SHORTEST]
        if not names:
            return []
        pattern, plain = name_pattern(names), [name.lower() for name in names]
        found = []
        for passage in passages:
            text = passage.titled_text
            lower = text.lower()  # looking for plain strings first is ten times as fast
            if any(name in lower for name in plain) and pattern.search(text):
                found.append(passage)
        return found

    def _against(
        self, drug: str, disease: str, naming: list[Passage] | None, explanation: Explanation | None
    ) -> list[Objection]:
        names = self.named.names
        found = graph_objections(self.named.merged, names, drug, disease)
        called = names(drug)[0], names(disease)[0]
        if naming is not None:
            trials = adverse_trials(naming, names(disease), names(drug), self.explainer.facts.texts)
            found += trial_objections(trials)
            if not self._of(naming, drug):
                text = f"No evidence in the texts: no passage names both {called[0]} and {called[1]}."
                found.append(Objection("no_evidence", text))
        if explanation is not None and not explanation.prefers_drug:
            text = f"The student prefers {explanation.alternative_name}, which is not recommended"
            found.append(Objection("student", f"{text}{'' if explanation.agreed else ', in one of two orders'}."))
        elif explanation is not None and not explanation.agreed:
            found.append(Objection("student", "The student's choice depends on the order of the two drugs."))
        return found
