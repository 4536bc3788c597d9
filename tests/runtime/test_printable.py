"""Text that would command a terminal is written out; other text is left as it is."""

import json

from kedrec.errors import KedrecError
from kedrec.runtime.command_line import run_command
from kedrec.runtime.printable import printable

EVIL = "\x1b[2J\x1b]0;owned\x07 \x9b31m \r\x08 \u202egpj.exe\u202c \u2066x\u2069 \udcff"


def test_what_a_terminal_would_obey_is_written_out():
    shown = printable(EVIL)
    assert shown.isprintable()
    assert shown.startswith("\\u001b[2J\\u001b]0;owned\\u0007 \\u009b31m \\u000d\\u0008 \\u202egpj.exe\\u202c ")
    shown.encode()


def test_other_text_stays_as_it_is():
    plain = "Ménière’s \N{GREEK SMALL LETTER BETA} [bold] <b> אב \\u001b\tx\n"  # noqa: RUF001
    assert printable(plain) == plain


def test_of_json_it_leaves_json_of_the_same_meaning():
    written = json.dumps({"text": EVIL}, ensure_ascii=False, indent=1)
    assert json.loads(printable(written)) == {"text": EVIL}


def test_a_fault_that_quotes_it_is_printable(capsys):
    def fail(_):
        raise KedrecError(f"{EVIL}\n  a second line")

    assert run_command("", ["x"], fail) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert told.count("\n") == 2
