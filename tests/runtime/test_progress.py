"""Progress: told to whoever listens, shown as lines where there is no terminal."""

from kedrec.runtime.progress import shown_as_bars, tell, told_to


def test_without_a_listener_it_is_silent_and_listeners_hear_only_within_their_block(capsys):
    heard = []
    tell("work", 1, 2)
    with told_to(lambda *told: heard.append(told)):
        tell("work", 2, 2)
    tell("work", 3, 3)
    assert heard == [("work", 2, 2)]
    assert capsys.readouterr() == ("", "")


def test_off_a_terminal_each_tenth_is_a_line(capsys):
    with shown_as_bars():
        for done in range(1, 101):
            tell("passages", done, 100)
        tell("records", 5)
        tell("records", 6)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [*(f"passages: {done} of 100" for done in range(10, 101, 10)), "records: 5"]


def test_work_that_ends_at_once_is_told(capsys):
    with shown_as_bars():
        tell("files", 1, 1)
    assert capsys.readouterr().err == "files: 1 of 1\n"


def test_on_a_terminal_there_are_bars(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with shown_as_bars():
        tell("passages", 50, 100)
    assert "50/100" in capsys.readouterr().err
