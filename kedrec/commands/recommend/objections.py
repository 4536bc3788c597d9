"""Evidence against a drug for a disease: from the graph, the texts and the student's answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from kedrec.commands.recommend.adverse_trials import Trial
from kedrec.graph.knowledge_graph import KnowledgeGraph

Kind = Literal[
    "contraindication", "causes_disease", "causes_symptom", "failed_trial", "stopped_trial", "no_evidence", "student"
]
Names = Callable[[str], Sequence[str]]
# Relations of DRKG by which a drug causes its other end: the glossaries call them "side effect/adverse event" and
# "causes".
_CAUSES_DISEASE = "GNBR::Sa::"
_CAUSES_EFFECT = "Hetionet::CcSE::"
_PRESENTS = "Hetionet::DpS::"


@dataclass(frozen=True)
class Objection:
    """A piece of evidence against a drug.

    Attributes:
        kind: of the evidence.
        text: the evidence in a sentence.
        source: relation or trial; empty where evidence for the drug is missing.
        url: where a reader finds it; may be empty.
    """

    kind: Kind
    text: str
    source: str = ""
    url: str = ""


def graph_objections(graph: KnowledgeGraph, names: Names, drug: str, disease: str) -> list[Objection]:
    """Return the evidence of the graph against a drug, contraindications first.

    It is a relation between the two with contraindication in its name; a relation by which the drug causes the disease,
    or a side effect with a name of the disease; a side effect with a name of a symptom of the disease.

    Args:
        graph: with synonyms merged.
        names: of entities, the preferred one first.
        drug: id.
        disease: id.
    """
    ends = {graph.entity_rows[drug], graph.entity_rows[disease]}
    called = names(drug)[0], names(disease)[0]
    found: list[Objection] = []
    near = {row: _links(graph, row) for row in ends}
    for relation, other in near[graph.entity_rows[drug]]:
        if other == graph.entity_rows[disease]:
            if "contraindic" in relation.casefold():
                found.append(Objection("contraindication", f"{called[0]} is contraindicated in {called[1]}.", relation))
            elif relation.startswith(_CAUSES_DISEASE):
                text = f"{called[1]} is an adverse event of {called[0]}, as read from the literature by machine."
                found.append(Objection("causes_disease", text, relation))
    effects = _called(graph, names, near[graph.entity_rows[drug]], _CAUSES_EFFECT)
    symptoms = _called(graph, names, near[graph.entity_rows[disease]], _PRESENTS)
    for name in (name.casefold() for name in names(disease)):
        if name in effects:
            text = f"{called[1]} is among the side effects of {called[0]}."
            found.append(Objection("causes_disease", text, effects.pop(name)[1]))
    if shared := sorted(effects.keys() & symptoms.keys()):
        named = ", ".join(dict.fromkeys(effects[name][0] for name in shared))
        text = f"Side effects of {called[0]} include symptoms of {called[1]}: {named}."
        found.append(Objection("causes_symptom", text, effects[shared[0]][1]))
    return sorted(found, key=lambda one: one.kind != "contraindication")


def trial_objections(trials: Sequence[Trial]) -> list[Objection]:
    """Return the trials as objections, failures first."""
    found = []
    for trial in sorted(trials, key=lambda one: not one.failed):
        why = f", for this reason: {trial.reason.rstrip('.')}" if trial.reason else ""
        outcome = ", and TOP's table of outcomes labels it a failure" if trial.failed else ""
        kind: Kind = "failed_trial" if trial.failed else "stopped_trial"
        text = f"{trial.title or trial.id}: {trial.status}{why}{outcome}."
        found.append(Objection(kind, text, trial.id, trial.url))
    return found


def _links(graph: KnowledgeGraph, row: int) -> list[tuple[str, int]]:
    """Return each relation of an entity with the row at its other end."""
    head, tail = graph.triples[:, 0] == row, graph.triples[:, 2] == row
    ends = [*graph.triples[head][:, 1:].tolist(), *graph.triples[tail][:, 1::-1].tolist()]
    return [(graph.relations[relation], other) for relation, other in ends]


def _called(
    graph: KnowledgeGraph, names: Names, links: Sequence[tuple[str, int]], beginning: str
) -> dict[str, tuple[str, str]]:
    """Return what is linked by a relation, by each of its names without case: the name to write, the relation."""
    found: dict[str, tuple[str, str]] = {}
    for relation, other in links:
        if relation.startswith(beginning):
            spoken = names(graph.entities[other])
            for name in spoken:
                found.setdefault(name.casefold(), (spoken[0], relation))
    return found
