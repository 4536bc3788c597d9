"""The answer of `kedrec.recommend`: the content of its table, its JSON and its page."""

from dataclasses import asdict, dataclass
from typing import Any

from kedrec.commands.recommend.drug_ranking import Candidate
from kedrec.commands.recommend.objections import Objection
from kedrec.commands.recommend.rank_confidence import Confidence
from kedrec.graph.paths import Edge, MetaPath

NOTICE = "Research use, not medical advice."


@dataclass(frozen=True)
class Disease:
    """The disease of a request.

    Attributes:
        asked: as the user wrote it.
        id: canonical id.
        ids: of it and its synonyms.
        name: preferred name.
        edges: of all its ids in the graph.
        known: number of its treatments in the graph, from training and held out.
    """

    asked: str
    id: str
    ids: tuple[str, ...]
    name: str
    edges: int
    known: int


@dataclass(frozen=True)
class Ranked:
    """All drugs, ranked for a disease."""

    disease: Disease
    candidates: list[Candidate]


@dataclass(frozen=True)
class Run:
    """The run that ranked the drugs.

    Attributes:
        path: run folder.
        id: of the run.
        scorer: such as ``TransE``.
        graph: file or folder.
        graph_hash: SHA-256 of its triples.
        relations: therapeutic ones that scores are taken over, the best counts.
        drugs: number of ranked drugs, synonyms as one.
    """

    path: str
    id: str
    scorer: str
    graph: str
    graph_hash: str
    relations: tuple[str, ...]
    drugs: int


@dataclass(frozen=True)
class StudentFacts:
    """The student that explained the drugs.

    Attributes:
        path: run folder; empty for the bundled base without training.
        base: its base model.
        temperature: of its confidence, nats; ``None`` where none was fitted.
        texts: file or folder, or the class path of a text source; empty where it reads none.
        sources: whose passages its prompts show.
        passages: number of searched passages.
    """

    path: str
    base: str
    temperature: float | None
    texts: str
    sources: tuple[str, ...]
    passages: int


@dataclass(frozen=True)
class ShownPassage:
    """A passage as the student was shown it.

    Attributes:
        number: as citations name it, from 1.
        id: of the passage.
        source: ``clinical_trials``, ``pmc``, or another.
        drug: name of the drug it was retrieved for.
        title: of its document.
        excerpt: the shown text.
        date: of its document.
        license: its terms.
        url: where a reader finds it.
        cited: whether the rationale cites it.
    """

    number: int
    id: str
    source: str
    drug: str
    title: str
    excerpt: str
    date: str
    license: str
    url: str
    cited: bool


@dataclass(frozen=True)
class Citation:
    """A citation of a rationale, checked.

    Attributes:
        written: as it stands between the brackets.
        passage: id of the passage; empty where none of that number was shown.
        supports: whether the passage shares enough of the words of the sentence that cites it.
    """

    written: str
    passage: str
    supports: bool


@dataclass(frozen=True)
class Explanation:
    """A student's explanation of a drug for a disease, from questions in both orders of it and another drug.

    Attributes:
        alternative: id of the other drug.
        alternative_name: its name.
        margin: log-probability of the drug's answer less that of the other's, nats, mean over both orders.
        prefers_drug: whether the margin is for the drug.
        agreed: whether both orders lead to the same choice.
        confidence: of the student's choice, 0.5 to 1; ``None`` where no temperature is known.
        rationale: continued from the drug's answer, whichever the student prefers.
        passages: that its prompt showed.
        citations: of the rationale, in order.
    """

    alternative: str
    alternative_name: str
    margin: float
    prefers_drug: bool
    agreed: bool
    confidence: float | None
    rationale: str
    passages: tuple[ShownPassage, ...]
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Node:
    """An entity on a path: its id and its name."""

    id: str
    name: str


@dataclass(frozen=True)
class NamedPath:
    """A path of `kedrec.graph.paths` with names: types, score, nodes, and the links between them, each kind once."""

    types: str
    score: float
    nodes: tuple[Node, ...]
    steps: tuple[tuple[Edge, ...], ...]


@dataclass(frozen=True)
class Details:
    """The evidence on a drug for the disease.

    Attributes:
        explanation: the student's; ``None`` where no drug is comparable.
        paths: the best in the graph, without the therapeutic link itself.
        metapaths: of all paths, by types.
        direct: other links between drug and disease.
        naming_both: passages that name both; ``None`` where no texts are searched.
        against: evidence against it.
    """

    explanation: Explanation | None
    paths: tuple[NamedPath, ...]
    metapaths: tuple[MetaPath, ...]
    direct: tuple[Edge, ...]
    naming_both: int | None
    against: tuple[Objection, ...]


@dataclass(frozen=True)
class Recommendation:
    """A drug of the list.

    Attributes:
        name: of the drug.
        candidate: its id, ranks, score, and whether it is known.
        confidence: counted at similar ranks; ``None`` for a training treatment, and for a run that holds none out.
        details: of the first new drugs; ``None`` for the others.
    """

    name: str
    candidate: Candidate
    confidence: Confidence | None
    details: Details | None


@dataclass(frozen=True)
class PublishedDrug:
    """A drug of a published list, beside our ranking.

    Attributes:
        place: in the published list, from 1.
        drug: as published.
        candidate: in our ranking; ``None`` where the graph lacks it.
    """

    place: int
    drug: str
    candidate: Candidate | None


@dataclass(frozen=True)
class Answer:
    """All of it.

    Attributes:
        disease: of the request.
        run: that ranked the drugs.
        dropped_known: whether known treatments are left out of the list.
        metapath: the only types of paths that are shown; ``None`` for all.
        recommendations: best first.
        student: that explained the drugs; ``None`` where none was explained.
        published: of the experiment's case, if it has one for this disease.
        notice: on the intended use.
    """

    disease: Disease
    run: Run
    dropped_known: bool
    metapath: str | None
    recommendations: tuple[Recommendation, ...]
    student: StudentFacts | None
    published: tuple[PublishedDrug, ...]
    notice: str = NOTICE

    def json(self) -> dict[str, Any]:
        """Return the answer as JSON objects, described in ``docs/recommend.md``."""
        return asdict(self)
