"""An answer as one self-contained HTML page."""

from kedrec.commands.html.page_rendering import render
from kedrec.commands.recommend.phrases import (
    choice_text,
    confidence_note,
    kind,
    no_path_text,
    percent,
    student_note,
    unsupported_text,
)
from kedrec.commands.recommend.recommendation import Answer, Details, PublishedDrug, Recommendation
from kedrec.runtime.printable import printable
from kedrec.sources.graph.entity_ids import local_id

_RANKED = ("Drug", "Id", "Rank", "Rank of the new", "Score", "Known", "Held-out share", "Counted", "Lift")
_PUBLISHED = ("Drug", "Published rank", "Our rank", "Our rank of the new", "Our score", "Known")


def page(answer: Answer) -> str:
    """Return the page: the ranking, then the evidence on its first drugs, then the published list if there is one."""
    details = {one.candidate.drug: one.details for one in answer.recommendations if one.details is not None}
    explained = {drug: one.explanation for drug, one in details.items() if one.explanation is not None}
    drawn = render(
        "recommendation.html",
        package="kedrec.commands.recommend",
        title=f"Drugs for {answer.disease.name}",
        answer=answer,
        looked_into=[one for one in answer.recommendations if one.details is not None],
        ranked={"columns": _RANKED, "rows": [_ranked(one) for one in answer.recommendations]},
        published={"columns": _PUBLISHED, "rows": [_published(one) for one in answer.published]},
        choices={drug: choice_text(one) for drug, one in explained.items()},
        unsupported={drug: unsupported_text(one) for drug, one in explained.items()},
        metapaths={drug: _metapaths(one) for drug, one in details.items()},
        facts=_facts(answer),
        confidence_note=confidence_note(answer),
        student_note=student_note(answer) if answer.student else "",
        no_path=no_path_text(answer.metapath),
        kind=kind,
    )
    return printable(drawn)


def _ranked(one: Recommendation) -> list[str]:
    drug, counted = one.candidate, one.confidence
    ranks = [f"{drug.rank:,}", "" if drug.new_rank is None else f"{drug.new_rank:,}"]
    shares = ["", "", ""]
    if counted is not None:
        shares = [percent(counted), f"{counted.found:,} of {counted.counted:,}", f"{counted.lift:,.0f}"]
    return [one.name, local_id(drug.drug), *ranks, f"{drug.score:.3f}", drug.known or "", *shares]


def _published(one: PublishedDrug) -> list[str]:
    ours = one.candidate
    if ours is None:
        return [one.drug, str(one.place), "not in the graph", "", "", ""]
    new = "" if ours.new_rank is None else f"{ours.new_rank:,}"
    return [one.drug, str(one.place), f"{ours.rank:,}", new, f"{ours.score:.3f}", ours.known or ""]


def _metapaths(details: Details) -> list[list[str]]:
    return [[one.types, f"{one.paths:,}", f"{one.dwpc:.4f}"] for one in details.metapaths]


def _facts(answer: Answer) -> list[tuple[str, str]]:
    run, disease = answer.run, answer.disease
    return [
        ("Asked", disease.asked),
        ("Ids", ", ".join(disease.ids)),
        ("In the graph", f"{disease.edges:,} edges, {disease.known:,} known treatments"),
        ("Ranked by", f"{run.scorer}, {run.path} ({run.id}), over {', '.join(run.relations)}"),
        (
            "Drugs",
            f"{run.drugs:,}; known treatments are {'left out of the list' if answer.dropped_known else 'marked'}",
        ),
        ("Graph", f"{run.graph}, SHA-256 {run.graph_hash}"),
        ("Paths", f"of the types {answer.metapath}" if answer.metapath else "of all types"),
    ]
