"""Sentences that both the terminal and the page show of an answer."""

from kedrec.commands.recommend.rank_confidence import Confidence
from kedrec.commands.recommend.recommendation import Answer, Explanation, NamedPath


def percent(confidence: Confidence) -> str:
    """Return the share in per cent, two digits of it."""
    return f"{100 * confidence.share:.2g} %"


def confidence_note(answer: Answer) -> str:
    """Return the explanation of the ranking's confidence."""
    if not any(one.confidence for one in answer.recommendations):
        return "The run holds out no treatments, so that the share of correct drugs at a rank is unknown."
    return (
        "Held-out share: of the drugs at such ranks, for diseases like this one, how many are treatments that training "
        "was not shown. Most treatments are shown, and unknown ones count as wrong: a lower bound. Lift: against any "
        "rank."
    )


def student_note(answer: Answer) -> str:
    """Return which model explained the drugs, and which texts it read."""
    student = answer.student
    assert student is not None
    who = f"the student of {student.path}" if student.path else f"the base {student.base}, which is not trained"
    if student.temperature is None:
        who += "; no temperature was fitted, so its confidence is unknown"
    if not student.texts:
        return f"Explained by {who}. It read no texts: name some by --texts=PATH."
    shown = f"passages of {', '.join(student.sources)} were shown" if student.sources else "it was shown none of them"
    return f"Explained by {who}. {student.passages:,} passages of {student.texts} were searched; {shown}."


def choice_text(found: Explanation) -> str:
    """Return the student's choice in words."""
    sure = "" if found.confidence is None else f", confidence {found.confidence:.2f}"
    numbers = f"(margin {found.margin:+.2f}{sure})"
    how = "" if found.agreed else ", but its choice depends on the order of the two drugs"
    if found.prefers_drug:
        return f"It prefers this drug to {found.alternative_name} {numbers}{how}."
    return f"It prefers {found.alternative_name} {numbers}{how}. Its explanation of this drug nevertheless:"


def unsupported_text(found: Explanation) -> str:
    """Return which citations are not supported, in words; nothing where all are."""
    missing = [one.written for one in found.citations if not one.passage]
    weak = [one.written for one in found.citations if one.passage and not one.supports]
    faults = [f"no passage has the number {', '.join(missing)}"] if missing else []
    if weak:
        faults.append(f"passage {', '.join(weak)} shares hardly a word with the sentence that cites it")
    if not found.citations and found.passages:
        faults.append("the rationale cites nothing")
    return f"Citations: {'; '.join(faults)}." if faults else ""


def no_path_text(metapath: str | None) -> str:
    """Return the sentence on a missing path, of given types or of any."""
    return f"No path of the types {metapath}." if metapath else "No path through one or two other entities."


def path_text(path: NamedPath) -> str:
    """Return a path on one line: names, and between them the relations with their sources."""
    text = path.nodes[0].name
    for node, links in zip(path.nodes[1:], path.steps, strict=True):
        named = ", ".join(f"{link.source} {kind(link.relation)}" for link in links)
        text += f" -[{named}]-> {node.name}" if links[0].forward else f" <-[{named}]- {node.name}"
    return text


def kind(relation: str) -> str:
    """Return the name of a relation within its source: ``treats`` of ``DRUGBANK::treats::Compound:Disease``."""
    source, _, rest = relation.partition("::")
    return rest.partition("::" if "::" in rest else ":")[0] or source
