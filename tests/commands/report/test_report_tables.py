import csv
import io
import json

import pytest

from kedrec.commands.report import graph_tables, student_tables
from kedrec.commands.report import published_results as published
from kedrec.commands.report.report_sections import runs_table
from kedrec.commands.report.report_tables import Table, TableOf, csv_text, latex, markdown, shown
from kedrec.commands.report.run_comparisons import rank_comparisons, student_comparisons
from kedrec.commands.report.run_groups import Figure
from tests.commands.report.test_run_groups import grouped
from tests.support.written_runs import EVIL, graph_model, questions, ranks, student


def rows_of(table, head):
    """The rows of a group, by their first cell."""
    names = [row[0] for row in table.rows]
    start = names.index(head) + 1
    found = {}
    for row, kind in zip(table.rows[start:], table.kinds[start:], strict=True):
        if kind == "group":
            break
        found.setdefault(row[0], row)
    return found


def test_ours_stand_beside_the_published_with_difference_and_interval(tmp_path):
    runs = [student(tmp_path / f"{seed}", seed=seed, f1=0.8 + seed / 10) for seed in (0, 1)]
    table = student_tables.paper_table(grouped(*runs, student(tmp_path / "v", sources=())), "sample")
    both = rows_of(table, "both sources")
    assert both["published, LLaMA student"][1:5] == ("88.05", "35.11", "35.17", "34.03")
    assert both["ours, trained"][1] == "85.0 ± 7.1 (75.0 to 95.0)"
    assert both["ours - published"][1] == "-3.0 ± 7.1 (-13.0 to +7.0)"
    assert both["ours - published"][2] == "-15.1"
    assert both["ours, trained"][6:] == ("0, 1", "c0ffee")  # of each number its experiment and commit
    assert "ours - published" not in rows_of(table, "vanilla")
    assert published.ROUGE_IMPOSSIBLE in table.notes
    assert any("not on expRxRec" in note for note in table.notes)


def test_a_run_is_told_with_what_its_command_line_set(tmp_path):
    told, old = student(tmp_path / "told"), student(tmp_path / "old", sources=())
    record = json.loads((told / "provenance.json").read_text())
    record["overrides"] = [
        "graph=/home/me/data/graph",
        "trainer.max_steps=5",
        "seed=1",
        "out=/home/me",
        "email=me@x.org",
    ]
    (told / "provenance.json").write_text(json.dumps(record))
    table = runs_table(grouped(told, old))
    at = table.columns.index("set otherwise")
    cells = {row[0]: row[at] for row in table.rows}
    assert cells == {"told": "graph=data/graph trainer.max_steps=5", "old": "not recorded"}


def test_the_row_of_pairs_that_the_base_did_not_know(tmp_path):
    known = {"test/f1_unknown_to_base": 0.6, "test/unknown_to_base_pairs": 5.0}
    table = student_tables.paper_table(grouped(student(tmp_path / "a", metrics=known)), "sample")
    row = rows_of(table, "both sources")["ours, trained: pairs the base did not know"]
    assert (row[1], row[5]) == ("60.0", "5")


def test_published_numbers_are_those_of_the_papers():
    assert published.STUDENT["both"].numbers["F1"] == 88.05
    assert published.STUDENT["mimic"].numbers == {"F1": 69.19}
    assert dict(published.RANKING["TransE"][0].numbers) == {
        "MR": 6.28,
        "MRR": 0.476,
        "Hits@3": 0.568,
        "Hits@10": 0.840,
        "AUC": 0.835,
    }
    assert "MRR" not in published.RANKING["RotatE + LLaDR"][2].numbers
    for curves in published.ROBUSTNESS.values():
        assert {len(curve) for curve in curves.values()} == {len(published.SHARES)}
    for varied in ("delete", "add"):  # at no noise they are the main table's
        for model, curve in published.ROBUSTNESS[varied].items():
            assert curve[0] == published.RANKING[model][0].numbers["MRR"]


def test_audits_have_a_row_each_and_what_is_absent_is_named(tmp_path):
    audits = {
        "test/answer_stated": 0.25,
        "test/answer_stated_low": 0.1,
        "test/answer_stated_high": 0.4,
        "test/f1_names_masked": 0.5,
    }
    table = student_tables.audit_table(grouped(student(tmp_path / "a", metrics=audits)), "sample")
    rows = {row[0]: row for row in table.rows}
    assert table.columns == ("metric", "both sources, base", "both sources, trained")
    assert rows["pairs with such a passage"][1:] == ("", "0.250 (0.100 to 0.400)")
    assert rows["F1, drug names masked"][2] == "0.500"
    assert any("confidence" in note and "tested without it" in note for note in table.notes)


def test_lladrs_table_has_the_papers_rows_and_the_protocols_expectation(tmp_path):
    groups = grouped(
        graph_model(tmp_path / "base", mrr=0.5), graph_model(tmp_path / "anchored", anchored=True, mrr=0.6)
    )
    table = graph_tables.paper_table(groups, "sample")
    anchored = rows_of(table, "TransE + LLaDR")
    assert anchored["TransE + LLaDR, GPT-4o-mini, published"][1:6] == ("5.46", "0.529", "0.627", "0.864", "0.849")
    assert anchored["ours"][2] == "0.600 (0.550 to 0.650)"  # not the sampled 0.9
    assert anchored["ours - published"][2] == "+0.067 (+0.017 to +0.117)"
    assert anchored["ours"][3] == ""  # Hits@3, which the run does not tell
    assert anchored["ours - published"][3] == ""


def test_noise_tables_take_the_runs_without_noise_of_like_settings(tmp_path):
    groups = grouped(
        graph_model(tmp_path / "a", mrr=0.5),
        graph_model(tmp_path / "other", mrr=0.9, model_args={"dim": 8}),
        graph_model(tmp_path / "b", mrr=0.4, data_args={"noise": {"delete": 0.4}}),
    )
    table = graph_tables.robustness_table(groups, "sample", "delete")
    assert table.columns[1:5] == ("0%", "20%", "40%", "60%")
    row = rows_of(table, "TransE")["ours"]
    assert row[1:5] == ("0.500 (0.450 to 0.550)", "", "0.400 (0.350 to 0.450)", "")
    assert rows_of(table, "DistMult")["published"][4] == "0.410"
    assert graph_tables.robustness_table(groups, "sample", "add") is None


def test_noise_under_two_settings_makes_two_curves(tmp_path):
    runs = [
        graph_model(
            tmp_path / f"{dim}-{share}",
            mrr=mrr - share,
            model_args={"dim": dim},
            data_args={"noise": {"delete": share}},
        )
        for dim, mrr in ((8, 0.8), (64, 0.6))
        for share in (0.0, 0.2, 0.4)
    ]
    again = graph_model(tmp_path / "again", mrr=0.1, model_args={"dim": 8}, data_args={"noise": {"delete": 0.2}})
    table = graph_tables.robustness_table(grouped(*runs, again), "sample", "delete")
    ours = [row for row in table.rows if row[0].startswith("ours,")]
    assert [[cell.partition(" ")[0] for cell in row[1:5]] for row in ours] == [
        ["0.600", "0.400", "0.200", ""],
        ["0.800", "0.600", "0.400", ""],
        ["", "0.100", "", ""],
    ]
    assert len({row[0] for row in ours}) == 3
    assert {row[-1] for row in ours} == {"c0ffee"}


def test_all_models_of_the_paper_stand_in_its_table(tmp_path):
    table = graph_tables.paper_table(grouped(graph_model(tmp_path / "c", scorer="complex")), "sample")
    heads = [row[0] for row, kind in zip(table.rows, table.kinds, strict=True) if kind == "group"]
    assert heads == [*published.RANKING, "ComplEx"]
    assert rows_of(table, "CSProm-KG")["CSProm-KG, published"][1:3] == ("9.36", "0.422")


def test_ablations_of_the_text(tmp_path):
    groups = grouped(graph_model(tmp_path / "kl", anchored=True, model_args={"anchor": {"distance": "kl"}}, mrr=0.45))
    table = graph_tables.text_table(groups, "sample")
    assert rows_of(table, "anchor: KL divergence")["ours"][1] == "0.450 (0.400 to 0.500)"
    assert rows_of(table, "anchor: KL divergence")["ours - published"][1] == "-0.072 (-0.122 to -0.022)"
    assert rows_of(table, "prompt: good")["published"][3] == "0.554"
    described = [
        graph_model(
            tmp_path / f"d{at}",
            mrr=0.3 + at / 10,
            data_args={"anchors": {"sources": ["text"], "describe": {"settings": asked}}},
        )
        for at, asked in enumerate(({"style": "none"}, {"style": "uses", "temperature": 0.1}, {"style": "uses"}))
    ]
    table = graph_tables.text_table(grouped(*described), "sample")
    ours = {words: rows_of(table, words).get("ours", ("", ""))[1][:5] for words in published.TEXT}
    assert ours == {
        "prompt: none": "0.300",
        "prompt: original": "0.500",
        "prompt: good": "",
        "temperature 0.1": "0.400",
        "temperature 0.7": "0.500",
        "anchor: KL divergence": "",
        "encoder: bge-small-v1.5": "",
    }
    assert graph_tables.text_table(grouped(graph_model(tmp_path / "base")), "sample") is None


def test_students_are_compared_on_the_same_questions(tmp_path):
    good, bad = student(tmp_path / "good", wrong=()), student(tmp_path / "bad", sources=(), wrong=range(8))
    table = student_comparisons(grouped(good, bad), "sample")
    rows = {(row[0], row[1]): row for row in table.rows}
    row = rows["both sources against vanilla", "F1"]
    assert row[2:4] == ("1.000", "0.000")
    assert row[6:8] == ("16", "0")
    assert row[8] == "< 0.001"
    assert ("both sources: trained against base", "F1") in rows


def test_students_that_were_asked_otherwise_are_not_compared_but_named(tmp_path):
    one = student(tmp_path / "one")
    other = student(tmp_path / "other", sources=(), predictions=questions(name="Else"), predictions_base=[])
    text = (other / "predictions.jsonl").read_text().replace("Disease::", "Disease::X")
    (other / "predictions.jsonl").write_text(text)
    table = student_comparisons(grouped(one, other), "sample")
    assert any(
        note.startswith("Not compared: both sources against vanilla: the two runs were not") for note in table.notes
    )


def test_ranks_are_compared_with_those_of_the_same_seed(tmp_path):
    runs = [
        graph_model(tmp_path / "base0", shift=5),
        graph_model(tmp_path / "base1", seed=1, shift=5),
        graph_model(tmp_path / "anchored1", seed=1, anchored=True),
    ]
    table = rank_comparisons(grouped(*runs), "sample")
    (row,) = table.rows
    assert row[0] == "TransE + LLaDR against TransE"
    assert row[6:8] == ("40", "0")
    assert row[11:] == ("1", "anchored1, base1", "c0ffee")  # seed, experiments, commits
    assert rank_comparisons(grouped(runs[0]), "sample") is None


def test_csv_holds_the_numbers_and_no_formula(tmp_path):
    table = student_tables.paper_table(grouped(student(tmp_path / "=cmd()")), "sample")
    lines = list(csv.DictReader(io.StringIO(csv_text(table))))
    line = next(one for one in lines if one["row"] == "ours, trained" and one["column"] == "F1")
    assert float(line["published"]) == 88.05
    assert float(line["ours"]) == pytest.approx(80.0)
    assert float(line["difference_low"]) == pytest.approx(70.0 - 88.05)
    assert (line["experiment"], line["commit"]) == ("'=cmd()", "c0ffee")


def test_markdown_and_latex_escape_what_a_run_is_called():
    making = TableOf("t", "50 % of A & B_1", ("model", "x"))
    making.head(EVIL)
    making.add("a|b $x$ {y}", "-0.5")
    table = making.done("note with <b>")
    text = markdown(table)
    assert "<script" not in text
    assert r"a\|b" in text
    assert "<b>" not in text
    tex = latex(table)
    assert r"a\textbar{}b \$x\$ \{y\} & -0.5 \\" in tex
    assert r"50 \% of A \& B\_1" in tex
    assert tex.count(r"\begin{") == tex.count(r"\end{") == 2


def test_markdown_makes_no_link_no_picture_and_no_emphasis_of_a_name():
    making = TableOf("t", "c", ("model",))
    making.add("![x](http://a/b.png) `tick` *s* __init__ a_b \x1b[31mred\nnext\\|")
    line = markdown(making.done()).splitlines()[4]
    assert line == (r"| !\[x\](http://a/b.png) \`tick\` \*s\* \_\_init\_\_ a_b \[31mred next\\\| |")


def test_latex_of_signs_that_end_rows_or_become_others():
    making = TableOf("t", "c", ("model", "p"))
    making.add("[2pt] first\n\n\x07line", "< 0.001")
    making.add("*second --flag", "-1")
    rows = latex(making.done()).splitlines()[7:9]
    assert rows == [r"{[}2pt] first line & \textless{} 0.001 \\", r"{*}second -{}-flag & -1 \\"]


def test_csv_of_a_table_without_numbers_is_the_table():
    table = Table(
        "t", "c", ("a", "b"), (("-x", "-1.5"), ("+1", "-1e-05"), ("-2+3+cmd|' /C calc'!A0", "x;=1")), ("", "", "")
    )
    rows = [["a", "b"], ["'-x", "-1.5"], ["'+1", "-1e-05"], ["'-2+3+cmd|' /C calc'!A0", "x;'=1"]]
    assert list(csv.reader(io.StringIO(csv_text(table)))) == rows


def test_how_numbers_are_shown():
    assert shown(None) == ""
    assert shown(Figure(0.5)) == "0.500"
    assert shown(Figure(0.5, 0.4, 0.6, None, 1), 2, signed=True) == "+0.50 (+0.40 to +0.60)"


def test_the_planted_ranks_are_what_the_names_say():
    assert [row["typed"] for row in ranks(2)][:2] == [3.0, 4.0]
