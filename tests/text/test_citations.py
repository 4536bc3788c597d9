"""Citations read from any form, and told to rest on what they cite or not."""

import json
from pathlib import Path

import pytest

from kedrec.text import citations
from kedrec.text.citations import before_stops, cited, renumber, supports, without_citations
from kedrec.text.sentences import sentences

SAMPLE = Path(citations.__file__).parents[1] / "sample"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It helps [1] [2, 3]; it is safe [P-1#2; P-2].", ["1", "2", "3", "P-1#2", "P-2"]),
        ("It helps [abc], [ ], [], [²], [1-3] and [9", ["abc", "²", "1-3"]),
        ("It helps.", []),
    ],
)
def test_citations_are_given_as_they_are_written(text, found):
    assert cited(text) == found


def test_brackets_are_taken_out_with_the_space_before_them():
    assert without_citations("It helps [1] [2; 3], says the trial [P-1].") == "It helps, says the trial."


def test_citations_by_id_become_numbers_of_what_is_shown():
    assert renumber("It helps [P-2; P-9]. It harms [P-9].", ["P-1", "P-2"]) == "It helps [2]. It harms."


def test_a_citation_after_the_full_stop_goes_into_the_sentence_before_it():
    text = "It relaxes muscle.[1] Does it last? [2] [3] It does not [4]."
    assert sentences(before_stops(text)) == ["It relaxes muscle [1].", "Does it last [2] [3]?", "It does not [4]."]


def test_names_alone_are_no_support():
    passage = "Metformin and the weather in Spain were discussed; diabetes was named."
    assert not supports("Metformin lowers hepatic glucose output in diabetes.", passage, "metformin diabetes insulin")
    assert supports("Metformin was discussed.", passage, "metformin diabetes insulin")
    assert supports("Metformin treats diabetes.", passage, "metformin diabetes insulin")  # says nothing beyond them
    assert not supports("Insulin treats diabetes.", passage, "metformin diabetes insulin")


def test_the_measure_of_support_tells_the_samples_passages_from_others():
    passages = {row["id"]: row["text"] for row in map(json.loads, (SAMPLE / "passages.jsonl").open(encoding="utf-8"))}
    ids = sorted(passages)
    own, other = [], []
    for number, line in enumerate((SAMPLE / "rationales.jsonl").open(encoding="utf-8")):
        for sentence in sentences(json.loads(line)["rationale"]):
            for source in cited(sentence):
                own.append(supports(sentence, passages[source]))
                other.append(supports(sentence, passages[ids[(ids.index(source) + 100 + number) % len(ids)]]))
    assert sum(own) / len(own) > 0.93
    assert sum(other) / len(other) < 0.1
