"""Looks for what is held out in what training sees, by code of its own: as one would who reads it all."""

import re
from collections import defaultdict
from itertools import product

from kedrec.graph.named_graph import spoken_names

_SENTENCE = re.compile(r"(?<=[.\]])\s+")


def _split(text):
    return re.findall(r"[^\W_]+", text.lower())


def _words(text):
    return f" {' '.join(_split(text))} "


class World:
    """Names, and which ids share one; texts by id.

    Args:
        infos: entity -> what it is called.
        entities: of the graph.
        passages: id -> title and text.
    """

    def __init__(self, infos, entities, passages=None):
        self.passages = passages or {}
        self.names = {one: set(spoken_names(one, infos.get(one))) for one in {*entities, *infos}}
        self._called = defaultdict(set)
        for entity, names in self.names.items():
            for name in names:
                self._called[entity.partition("::")[0], name.casefold()].add(entity)

    def namesakes(self, entity):
        """The ids that share a name with this one, itself among them."""
        kind = entity.partition("::")[0]
        return {entity}.union(*(self._called[kind, name.casefold()] for name in self.names.get(entity, ())))

    def ends(self, edges):
        """{drug, disease} of some edges, by any id that shares a name."""
        every = (product(self.namesakes(drug), self.namesakes(disease)) for drug, disease in edges)
        return {frozenset(both) for some in every for both in some}

    def telling(self, edges):
        """A function that returns the edges both of whose ends a text names."""
        spoken = {end: self.pattern(end) for edge in edges for end in edge}
        drugs = {drug for drug, _ in edges}

        def told(text):
            words = _words(text)
            named = {drug for drug in drugs if spoken[drug].search(words)}
            return [edge for edge in edges if edge[0] in named and spoken[edge[1]].search(words)]

        return told

    def pattern(self, end):
        """Finds any name of four letters or more of an id, or of its namesakes, among words in lower case."""
        names = {name for one in self.namesakes(end) for name in self.names.get(one, ()) if len(name) > 3}
        plain = sorted({" ".join(_split(name)) for name in names} - {""})
        return re.compile("|".join(f" {re.escape(name)} " for name in plain) or r"(?!)")


def in_triples(data, world, edges):
    """Training triples of a graph model that link the ends of an edge, by any relation, direction or name."""
    barred, entities = world.ends(edges), data.vocabulary.entities
    return [
        f"triple {entities[head]} {data.vocabulary.relations[relation]} {entities[tail]}"
        for head, relation, tail in data.training_triples.tolist()
        if frozenset((entities[head], entities[tail])) in barred
    ]


def in_descriptions(data, world, edges):
    """Sentences that a graph model reads of an end of an edge and that name the other, or of a third and both ends."""
    told, others = world.telling(edges), _patterns_of_others(world, edges)
    return [
        f"description of {entity}: {sentence}"
        for entity, text in zip(data.vocabulary.entities, data.vocabulary.descriptions, strict=True)
        for sentence in _SENTENCE.split(text)
        if any(pattern.search(_words(sentence)) for pattern in others.get(entity, ())) or told(sentence)
    ]


def in_questions(data, edges):
    """Questions of training and validation that ask about an edge, the drug right or wrong."""
    asked = [row.question.pair for split in ("train", "validation") for row in data.encoded[split]]
    parts = [(pair, pair.split("|")) for pair in asked]
    return [f"question {pair}" for pair, (disease, *drugs) in parts for drug in drugs if (drug, disease) in edges]


def in_passages(data, world, edges):
    """Passages shown in training that name both ends of an edge."""
    told = world.telling(edges)
    shown = {(row.question.pair, one) for row in data.encoded["train"] for one in row.question.passages}
    return [f"passage {one} in {pair}" for pair, one in sorted(shown) if told(world.passages[one])]


def in_rationales(data, world, edges):
    """Sentences of the teacher in training that name both ends of an edge, or one where the other is asked about."""
    told, others = world.telling(edges), _patterns_of_others(world, edges)
    said = {(row.question.pair, row.question.reference) for row in data.encoded["train"]}
    return [
        f"rationale of {pair}: {part}"
        for pair, text in sorted(said)
        for part in _SENTENCE.split(text)
        if told(part) or any(other.search(_words(part)) for one in pair.split("|") for other in others.get(one, ()))
    ]


def _patterns_of_others(world, edges):
    """For each end of an edge, by any id that shares a name, what finds the names of the other end."""
    others = defaultdict(list)
    for drug, disease in edges:
        for end, other in ((drug, disease), (disease, drug)):
            for one in world.namesakes(end):
                others[one].append(world.pattern(other))
    return others
