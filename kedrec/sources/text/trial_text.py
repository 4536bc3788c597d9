r"""Writes a study of ClinicalTrials.gov, in the JSON format of API v2, as paragraphs.

The paragraphs use the words of the register's fields; values of enumerations are spelt out ("PHASE2" becomes
"phase 2"). The reason for stopping a trial is left out, since it would leak the answer.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

_COMMON = 0.05  # share of a group's participants: the register's usual threshold for non-serious events
_PHASES = {"NA": "not applicable", "EARLY_PHASE1": "early phase 1"}
_ITEM = re.compile(r"\s*(?:[*•·-]|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")  # of Markdown: a backslash before any ASCII punctuation


def protocol_paragraphs(protocol: Json, *, status: bool) -> list[str]:
    """Return the registration: conditions, summary, description, arms, interventions, outcomes, eligibility.

    Args:
        protocol: a study's ``protocolSection``.
        status: whether to include the overall status and the dates of start and completion.
    """
    description = protocol.get("descriptionModule", {})
    arms = protocol.get("armsInterventionsModule", {})
    written = [
        *prose(description.get("briefSummary", "")),
        *prose(description.get("detailedDescription", "")),
        *(_arm(arm) for arm in arms.get("armGroups", ())),
        *(_intervention(one) for one in arms.get("interventions", ())),
        *_outcomes(protocol.get("outcomesModule", {})),
        *_eligibility(protocol.get("eligibilityModule", {})),
    ]
    return [text for text in (_lead(protocol, status), *written) if text] if any(written) else []


def result_paragraphs(results: Json) -> list[str]:
    """Return the results: each outcome with its numbers and analyses, adverse events, limitations.

    Args:
        results: a study's ``resultsSection``.
    """
    measures = results.get("outcomeMeasuresModule", {}).get("outcomeMeasures", ())
    limits = results.get("moreInfoModule", {}).get("limitationsAndCaveats", {}).get("description", "")
    written = [
        *(text for measure in measures if measure.get("classes") for text in _measure(measure)),
        *_adverse_events(results.get("adverseEventsModule", {})),
        _after("Limitations:", " ".join(prose(limits))),
    ]
    return [text for text in written if text]


def prose(markup: str) -> list[str]:
    r"""Return the paragraphs of a Markdown field as plain text: wrapped lines joined, each list item a sentence.

    A list belongs to the paragraph before it if that ends with a colon.
    """
    paragraphs: list[list[str]] = []
    for block in re.split(r"\n\s*\n", markup.replace("\r\n", "\n")):
        items: list[str] = []
        for line in block.split("\n"):
            item = _ITEM.match(line)
            if item or not items:
                items.append(line[item.end() :] if item else line)
            else:
                items[-1] += f" {line}"
        sentences = [_sentence(" ".join(_ESCAPE.sub(r"\1", item).split())) for item in items if item.strip()]
        if paragraphs and _ITEM.match(block) and (paragraphs[-1][0][-1] == ":" or len(paragraphs[-1]) > 1):
            paragraphs[-1] += sentences
        elif sentences:
            paragraphs.append(sentences)
    return [" ".join(sentences) for sentences in paragraphs]


def words(name: str) -> str:
    """Return the value of an enumeration in lower case with spaces: ``ACTIVE_NOT_RECRUITING``."""
    return name.replace("_", " ").lower()


def _lead(protocol: Json, status: bool) -> str:
    interventions = protocol.get("armsInterventionsModule", {}).get("interventions", ())
    phases = protocol.get("designModule", {}).get("phases", ())
    module = protocol.get("statusModule", {})
    facts = {
        "Conditions": ", ".join(protocol.get("conditionsModule", {}).get("conditions", ())),
        "Interventions": ", ".join(one["name"] for one in interventions if one.get("name")),
        "Phase": "/".join(_PHASES.get(phase, phase.lower().replace("phase", "phase ")) for phase in phases),
    }
    if status:
        dates = {"Start": "startDateStruct", "Completion": "completionDateStruct"}
        facts["Status"] = words(module.get("overallStatus", ""))
        facts |= {label: module.get(name, {}).get("date", "") for label, name in dates.items()}
    return " ".join(f"{label}: {fact}." for label, fact in facts.items() if fact)


def _arm(arm: Json) -> str:
    kinds = [words(arm.get("type", "")), *arm.get("interventionNames", ())]
    return _after(
        _sentence(f"Arm {arm.get('label', '')} ({'; '.join(filter(None, kinds))})".replace(" ()", "")),
        " ".join(prose(arm.get("description", ""))),
    )


def _intervention(one: Json) -> str:
    others = ", ".join(one.get("otherNames", ()))
    name = f"{words(one.get('type', '')).capitalize()} {one.get('name', '')}{f' (also {others})' if others else ''}"
    return _after(f"{name.strip()}:", " ".join(prose(one.get("description", ""))))


def _outcomes(module: Json) -> Iterator[str]:
    for kind in ("primary", "secondary", "other"):
        for one in module.get(f"{kind}Outcomes", ()):
            yield _titled(f"{kind.capitalize()} outcome", one.get("measure", ""), one)


def _titled(kind: str, title: str, one: Json) -> str:
    """Return an outcome's title, time frame and description."""
    frame = " ".join(prose(one.get("timeFrame", ""))).rstrip(".")
    head = _sentence(f"{kind}: {' '.join(prose(title)).rstrip('.')}{f' ({frame})' if frame else ''}")
    return " ".join([head, *prose(one.get("description", ""))])


def _eligibility(module: Json) -> Iterator[str]:
    yield from prose(module.get("eligibilityCriteria", ""))
    yield from prose(module.get("studyPopulation", ""))
    low, high = module.get("minimumAge", ""), module.get("maximumAge", "")
    ages = " ".join(filter(None, (f"from {low}" if low else "", f"to {high}" if high else "")))
    facts = {"Ages": ages, "Sex": words(module.get("sex", ""))}
    if written := " ".join(f"{label}: {fact}." for label, fact in facts.items() if fact):
        yield written


def _measure(measure: Json) -> Iterator[str]:
    """Yield an outcome's description with its numbers by group, then one paragraph per analysis."""
    groups = _titles(measure)
    yield _after(
        _titled(f"{words(measure.get('type', '')).capitalize()} outcome", measure.get("title", ""), measure),
        _numbers(measure, groups),
    )
    for analysis in measure.get("analyses", ()):
        yield _analysis(analysis, groups)


def _numbers(measure: Json, groups: Mapping[str, str]) -> str:
    kind = words(measure.get("paramType", "")).capitalize()
    head = ", ".join(filter(None, (kind, measure.get("unitOfMeasure", ""))))
    sizes = [count for denom in measure.get("denoms", ())[:1] for count in denom.get("counts", ())]
    analysed = "; ".join(f"{groups.get(count['groupId'], '')} {count['value']}" for count in sizes)
    rows = []
    for one in measure["classes"]:
        for category in one.get("categories", ()):
            numbers = "; ".join(
                f"{groups.get(number['groupId'], '')} {_number(number, measure.get('dispersionType', ''))}"
                for number in category.get("measurements", ())
            )
            label = ", ".join(filter(None, (one.get("title", ""), category.get("title", ""))))
            rows.append(f"{label}: {numbers}." if label else f"{numbers}.")
    return f"{head}: {' '.join(rows)}" + (f" Analysed: {analysed}." if analysed else "")


def _number(number: Json, dispersion: str) -> str:
    value = number.get("value", "")
    spread = number.get("spread", "")
    if "lowerLimit" in number or "upperLimit" in number:
        spread = f"{number.get('lowerLimit', '')} to {number.get('upperLimit', '')}"
    return f"{value} ({dispersion.lower()} {spread})" if spread else value


def _analysis(analysis: Json, groups: Mapping[str, str]) -> str:
    compared = " with ".join(groups.get(group, "") for group in analysis.get("groupIds", ()))
    p = analysis.get("pValue", "")
    parts = [analysis.get("statisticalMethod", ""), f"p {p if p[:1] in '<>=' else f'= {p}'}" if p else ""]
    if value := analysis.get("paramValue", ""):
        estimate = f"{analysis.get('paramType', '')} {value}".strip()
        if "ciLowerLimit" in analysis or "ciUpperLimit" in analysis:
            limits = f"{analysis.get('ciLowerLimit', '')} to {analysis.get('ciUpperLimit', '')}"
            percent = f"{analysis['ciPctValue']}% " if "ciPctValue" in analysis else ""
            estimate += f" ({percent}confidence interval {limits})"
        parts.append(estimate)
    head = f"Analysis of {compared}: {', '.join(filter(None, parts))}".rstrip(": ")
    return " ".join([_sentence(head), *prose(analysis.get("groupDescription", ""))])


def _adverse_events(module: Json) -> Iterator[str]:
    """Yield the number of participants with events in each group, and the events common in any group."""
    groups = {group["id"]: group for group in module.get("eventGroups", ())}
    kinds = {"deaths": "Deaths", "serious": "Serious adverse events", "other": "Other adverse events"}
    for kind, named in kinds.items():
        counts = [
            f"{group.get('title', '')} {group[f'{kind}NumAffected']} of {group[f'{kind}NumAtRisk']}"
            for group in groups.values()
            if group.get(f"{kind}NumAtRisk") and f"{kind}NumAffected" in group
        ]
        events = [text for event in module.get(f"{kind}Events", ()) if (text := _event(event, _titles_of(groups)))]
        if counts:
            yield " ".join([f"{named}: {'; '.join(counts)}.", *events])


def _event(event: Json, titles: Mapping[str, str]) -> str:
    stats = [one for one in event.get("stats", ()) if one.get("numAtRisk") and "numAffected" in one]
    if not any(one["numAffected"] >= _COMMON * one["numAtRisk"] for one in stats):
        return ""
    counts = "; ".join(f"{titles.get(one['groupId'], '')} {one['numAffected']} of {one['numAtRisk']}" for one in stats)
    return f"{event.get('term', '')}: {counts}."


def _titles(measure: Json) -> dict[str, str]:
    return {group["id"]: group.get("title", "") for group in measure.get("groups", ())}


def _titles_of(groups: Mapping[str, Json]) -> dict[str, str]:
    return {name: group.get("title", "") for name, group in groups.items()}


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".:?!" else text.rstrip(";, ") + "."


def _after(head: str, text: str) -> str:
    """Return ``head`` and ``text``; nothing if the head ends with a colon and there is no text."""
    if text:
        return f"{head} {text}"
    return "" if head.endswith(":") else head
