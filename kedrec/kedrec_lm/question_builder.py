"""Questions about pairs: their names, the passages that are shown, and the case that a teacher explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kedrec.graph.named_graph import NamedGraph
from kedrec.kedrec_lm.chat_encoding import Shown
from kedrec.kedrec_lm.evidence import RetrievedEvidence
from kedrec.kedrec_lm.heuristic_baselines import HeuristicBaseline
from kedrec.kedrec_lm.question_batches import Question
from kedrec.kedrec_lm.question_settings import PromptSettings
from kedrec.kedrec_lm.rationale_cases import Case, Evidence
from kedrec.kedrec_lm.robustness_audits import Names
from kedrec.retrieval.retriever import Retrieved
from kedrec.splits.pairs import Pair
from kedrec.text.excerpt import excerpt, name_pattern
from kedrec.text.sentences import sentences


@dataclass(frozen=True)
class QuestionBuilder:
    """Writes the questions about pairs.

    Attributes:
        named: the graph with the names of its entities.
        evidence: the passages retrieved for the pairs.
        sources: whose passages a question shows.
        prompt: how many words of a passage are shown, and in which order.
        private: whether the pairs are patient data: only a model on this machine may explain them.
    """

    named: NamedGraph
    evidence: RetrievedEvidence
    sources: Sequence[str]
    prompt: PromptSettings
    private: bool = False

    def case(self, pair: Pair) -> Case:
        """Return what a teacher explains of a pair: with all passages retrieved for it, of all sources."""
        ids = (pair.disease, pair.relevant, pair.irrelevant)
        passages = {
            hit.passage.id: hit.passage.text
            for drug in (pair.relevant, pair.irrelevant)
            for hit in self.evidence.of(pair, drug)
        }
        evidence = [Evidence(passage, tuple(sentences(text))) for passage, text in passages.items()]
        return Case(*ids, names={i: self.named.names(i) for i in ids}, evidence=evidence, private=self.private)

    def question(self, pair: Pair, swapped: bool, baselines: Mapping[str, HeuristicBaseline] | None = None) -> Question:
        """Return the question in the stored order or the other; passages and reference are filled in later.

        Beside the scores of the ``baselines`` it has those of ``nearest_passage``, which chooses the drug whose
        passages, of the experiment's sources, are nearer to its query, in sum.
        """
        drugs = _order(pair, swapped)
        first, second = (round(sum(hit.score for hit in self._hits(pair, drug)), 5) for drug in drugs)
        scores = {}
        for name, baseline in (baselines or {}).items():
            one, other = (baseline(pair.disease, drug) for drug in drugs)
            if one is not None and other is not None:
                scores[name] = (one, other)
        return Question(
            pair="|".join((pair.disease, pair.relevant, pair.irrelevant)),
            disease=self.named.names(pair.disease)[0],
            drugs=(self.named.names(drugs[0])[0], self.named.names(drugs[1])[0]),
            correct=drugs.index(pair.relevant),
            swapped=swapped,
            reference="",
            passages=(),
            heuristics={"nearest_passage": (first, second), **scores},
        )

    def names(self, pair: Pair, swapped: bool) -> Names:
        """Return all names of the disease and the drugs of a question, the drugs in its order."""
        first, second = _order(pair, swapped)
        return Names(self.named.names(pair.disease), (self.named.names(first), self.named.names(second)))

    def shown(self, pair: Pair, swapped: bool) -> list[Shown]:
        """Return excerpts of the passages of the experiment's sources, each passage once.

        Those of one drug stand together. In the order ``nearest`` the drug whose passages are nearer to its query, in
        sum, comes first, so that the most pertinent is read first; in the order ``question`` the drug that the question
        names first, so that the order of the passages gives nothing away.
        """
        drugs = _order(pair, swapped)
        patterns = [name_pattern(self.named.names(entity)) for entity in (pair.disease, *drugs)]
        hits = {drug: self._hits(pair, drug) for drug in drugs}
        nearest_first = sorted(sorted(drugs), key=lambda drug: -sum(hit.score for hit in hits[drug]))
        shown: dict[str, Shown] = {}
        for drug in nearest_first if self.prompt.passage_order == "nearest" else drugs:
            for hit in hits[drug]:
                passage = hit.passage
                text = excerpt(passage.text, patterns, self.prompt.passage_words)
                shown.setdefault(passage.id, Shown(passage.id, passage.source, self.named.names(drug)[0], text))
        return list(shown.values())

    def _hits(self, pair: Pair, drug: str) -> list[Retrieved]:
        return [hit for hit in self.evidence.of(pair, drug) if hit.passage.source in self.sources]


def _order(pair: Pair, swapped: bool) -> tuple[str, str]:
    first_relevant = pair.relevant_first != swapped
    return (pair.relevant, pair.irrelevant) if first_relevant else (pair.irrelevant, pair.relevant)
