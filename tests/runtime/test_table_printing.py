"""Tables lose nothing: neither in a file, nor on a narrow terminal."""

import io
import re

import pytest
import rich.console

from kedrec.runtime.table_printing import print_table

HEADER = ["metric", "base", "trained"]
ROWS = [["citation_misattributed_reference_of_another_disease", "0.442 (0.300-0.594)", "0.495 (0.405-0.585)"]]


def test_in_a_file_each_row_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    print_table(HEADER, ROWS, title="numbers")
    printed = capsys.readouterr().out
    assert "numbers" in printed
    line = next(line for line in printed.splitlines() if "0.442" in line)
    assert [cell.strip() for cell in line.strip("│").split("│")] == ROWS[0]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_on_a_narrow_terminal_cells_are_folded(width, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(rich.console.sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    print_table(HEADER, ROWS)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in terminal.getvalue()
    cells = [line.strip("│").split("│") for line in lines if line.startswith("│")]
    whole = ["".join(part.replace(" ", "") for part in column) for column in zip(*cells, strict=True)]
    assert whole == [cell.replace(" ", "") for cell in ROWS[0]]
