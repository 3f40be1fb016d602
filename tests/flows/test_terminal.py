"""Output in a terminal, a pipe and a log: bars and lines, colours with words, text of others."""

import io
import logging
import os
import re
import sys
import time
from dataclasses import replace
from datetime import date

import pytest
from pseudo_terminal import Terminal
from rich.cells import cell_len

from audits.config.policy import Condition, Policy, Waiver
from audits.evidence.estimate import Estimate
from audits.evidence.evidence import Evidence
from audits.evidence.metric import Metric
from audits.execution.progress import Progress
from audits.verdict.decide import decide
from flows.cli import _COMMANDS, _parser
from flows.commands.common import say_run
from flows.terminal import display, interrupt, output
from flows.terminal.console import progress_shown
from flows.terminal.minutes import Minutes
from flows.terminal.streams import Stream
from flows.terminal.text import clean, clean_lines, lasting, titled
from flows.terminal.verdict import say_reason, show_verdict

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")
_HOSTILE = "\x1b[31mred\x1b[0m [bold]m[/bold]\u202eevil\r\n\x07" + "x" * 10_000


@pytest.fixture
def terminal(monkeypatch):
    """A function that puts a pseudo-terminal in the place of stdout and stderr."""
    yield lambda columns=80: Terminal(monkeypatch, columns)
    display.clear()


@pytest.fixture
def audited():
    """A function that gives the verdict of a policy, and the evidence, with a title as given."""

    def made(title="own drawing recognised " * 3):
        metrics = {
            "accuracy": Metric("images named right", Estimate(0.99, 0.98, 0.995, 450)),
            "recognised": Metric(title, Estimate(0.24, 0.20, 0.28, 450)),
            "other": Metric("another", Estimate(0.6, 0.5, 0.7, 450)),
        }
        evidence = (Evidence(check="own", sentence="It is so.", metrics=metrics),)
        conditions = [
            Condition(metric="own/accuracy", min=0.9),
            Condition(metric="own/recognised", min=0.6),
            Condition(metric="own/other", min=0.6),
        ]
        waiver = Waiver(condition="own/other >= 0.6", reason="later", until=date(2027, 3, 31))
        policy = Policy(conditions=tuple(conditions), waivers=(waiver,))
        return decide(policy, evidence, date(2026, 1, 1)), evidence

    return made


def test_text_of_others_is_shown_as_text_and_cut_with_a_sign():
    shown = clean(_HOSTILE, 100)
    assert shown.startswith(r"\x1b[31mred\x1b[0m [bold]m[/bold]\u202eevil \x07xx")
    assert shown.isprintable()
    assert len(shown) == 100
    assert " ... xxx" in shown
    assert clean("digits\u200b") == r"digits\u200b"  # not the same as digits
    assert clean("图像 \udc80") == r"图像 \udc80"
    assert clean_lines("  a\n\tb\x1b") == "  a\n\\tb\\x1b"
    assert [lasting(s) for s in (-1, 59.6, 90, 4000, 7800)] == [
        *("0 s", "60 s", "2 min", "1 h 7 min", "2 h 10 min"),
    ]
    uris = ("models:/digits/2", "models:/a b/c/3", "models:/m-123", "models:/digits@best")
    assert [titled(uri) for uri in uris] == ["digits v2", "a b/c v3", *uris[2:]]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_nobody_reads_takes_everything_and_says_so(name, monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        monkeypatch.setattr(sys, name, file)
        stream = Stream(name)
        stream.write("seen\n")
        stream.flush()
        assert not stream.lost
        os.close(reader)
        for _ in range(2):
            stream.write("not seen\n")
            stream.flush()
        assert stream.lost
        # Python flushes it once more when it ends, and would complain.
        file.flush()
    monkeypatch.setattr(sys, name, None)  # as `>&-` leaves it
    stream = Stream(name)
    stream.write("nowhere")
    stream.flush()
    assert (stream.lost, stream.isatty(), stream.encoding) == (True, False, "ascii")


def test_a_full_disk_is_an_error_of_the_output_and_never_of_the_log(monkeypatch):
    for name in ("stdout", "stderr"):
        file = open("/dev/full", "w")  # noqa: SIM115, its buffer is written to nowhere below
        monkeypatch.setattr(sys, name, file)
        stream = Stream(name)
        stream.write("lost\n")
        if name == "stdout":
            with pytest.raises(OSError, match="No space left"):
                stream.flush()
        stream.flush()
        assert stream.lost
        file.close()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_stream_without_utf_8_gets_codes_for_what_it_lacks(errors, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", errors))
    monkeypatch.setenv("COLUMNS", "60")
    output.say("图像: passed")
    output.show(output.table(("verdict",), [["图"], ["y" * 90]]))
    lines = written.getvalue().decode("ascii").splitlines()
    assert lines[0] == r"\u56fe\u50cf: passed"
    assert any(set(line.strip()) == {"-"} for line in lines)  # the rule of the table
    assert sum(line.count("y") for line in lines) == 90


@pytest.mark.parametrize("columns", [40, 80])
def test_the_verdict_is_a_word_in_colour_a_sentence_and_a_table_that_fits(
    columns, terminal, audited
):
    seen = terminal(columns)
    verdict, evidence = audited()
    show_verdict("digits v1", verdict, evidence, "models:/digits/2")
    text = seen.text()
    assert "digits v1: \x1b[1;31mFAILED\x1b[0m" in text
    lines = _ESCAPES.sub("", text).splitlines()
    assert max(map(cell_len, lines)) <= columns
    together = " ".join(" ".join(lines).split())
    assert "digits v1 could not be compared with digits v2." in together
    if columns == 80:
        heading, _, *rows = lines[lines.index(next(s for s in lines if "needs" in s)) :]
        assert heading.split() == ["condition", "needs", "measured", "outcome"]
        assert re.fullmatch(r"own drawing recognised.* at least +24 % +failed *", rows[0])
        assert re.fullmatch(r".* 60 % +20 to 28 % *", rows[1])
        assert "own/recognised" in " ".join(rows[:4])  # the id, in small print
        assert re.search(
            r"^images named right +at least +99 % +passed *$", "\n".join(rows), re.MULTILINE
        )
    say_reason(verdict.told, verdict.reason)
    assert "(waived until 2027-03-31: later)" in seen.text()


def test_no_color_leaves_the_words(terminal, audited, monkeypatch):
    seen = terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    show_verdict("digits v1", *audited())
    text = seen.text()
    assert not _COLOURS.search(text)
    assert "digits v1: FAILED" in _ESCAPES.sub("", text)


def test_hostile_names_and_reasons_are_text_in_verdict_and_log(terminal, audited):
    seen = terminal()
    verdict, evidence = audited(_HOSTILE)
    with progress_shown("loading", lines=True):
        logging.getLogger("audits.x").warning("%s", _HOSTILE)
        progress = Progress(_HOSTILE, 10)
        progress.begins(_HOSTILE, [10])
        progress.finished(_HOSTILE, 1, 10, 1.0)
    show_verdict(_HOSTILE, replace(verdict, reason=_HOSTILE), evidence, f"models:/{_HOSTILE}/3")
    output.complain(_HOSTILE)
    text = seen.text()
    assert "[bold]m[/bold]" in text
    assert "\x1b[31mred" not in text
    assert not {"\u202e", "\x07"} & set(text)
    assert "x" * 2_100 not in "".join(text.split())


def test_a_terminal_gets_a_bar_for_each_check_and_keeps_its_cursor(terminal):
    seen = terminal()
    with progress_shown("loading", lines=True):
        assert "loading (0 s)" in seen.text()  # at once
        progress = Progress("digits v1", 300, "/store")
        for check in ("performance", "random_fill"):
            progress.begins(check, [50, 50])
            progress.finished(check, 1, 50, 10.0)
        logging.getLogger("audits.x").warning("It is [red]hot[/red].")
        progress.finished("performance", 2, 50, None)
        progress.concluded("performance")
        progress.begins("shifts", [100])
        text = seen.text()
        *_, last = text.split("digits v1")
        rows = [_ESCAPES.sub("", line) for line in last.splitlines()]
        assert re.fullmatch(r", about \d+ s left", rows[0])
        assert re.fullmatch(r"  performance +━{20} 2/2 done *", rows[1])
        assert re.fullmatch(r"  random_fill +[━╺╸]{20} 1/2 about \d+ s left *", rows[2])
        assert re.fullmatch(r"  shifts +━{20} 0/1 about \d+ s left *", rows[3])
        assert "It is [red]hot[/red]." in text
        other = Progress("digits v2", 100, "/store")
        other.begins("performance", [100])
        assert "random_fill" not in seen.text().split("digits v2")[-1]
    assert seen.text().count("\x1b[?25l") <= 1  # hidden once, and shown again below
    assert display.kept.units == {
        ("digits v1", "performance"): 2,
        ("digits v1", "random_fill"): 1,
        ("digits v1", "shifts"): 0,
        ("digits v2", "performance"): 0,
    }
    assert logging.getLogger("audits").handlers == []  # as before
    assert logging.getLogger("audits").propagate


def test_without_a_terminal_the_first_unit_is_told_and_then_a_line_a_minute(capsys):
    def began(minutes):
        display._shown = minutes
        Progress("m v1", 100).begins("fill", [10] * 10)

    def stepped(minutes):
        display._shown = minutes
        progress = Progress("m v1", 100)
        progress.begins("fill", [10] * 10)
        for unit in range(1, 4):
            progress.finished("fill", unit, 10, 1.0)

    with progress_shown("loading", lines=True):
        stepped(Minutes(every=3600))
        for epoch in range(3):
            logging.getLogger("flows.x").info("epoch %d", epoch, extra={"passing": True})
        logging.getLogger("audits.x").info("tuning")
        assert capsys.readouterr().err.splitlines() == [
            "m v1: fill 1/10, about 9 s left",
            "epoch 0",
            "tuning",
        ]
        for line, steps in (("m v1: fill 3/10, about ", stepped), ("m v1: fill 0/10\n", began)):
            steps(Minutes(every=0.01))
            deadline, err = time.monotonic() + 60, ""
            while err.count(line) < 2:  # also if no unit is finished
                assert time.monotonic() < deadline, err
                time.sleep(0.05)
                err += capsys.readouterr().err
            display.clear()


def test_an_interrupted_command_says_what_is_kept_and_how_to_go_on(monkeypatch):
    told = interrupt._told
    monkeypatch.setattr(display, "kept", display.Kept())
    with interrupt.at_once_in_imports():
        assert told() == "Interrupted."
    with interrupt.at_once_in_imports("fillblanks audit models:/m/1 --config 'a b.yaml'"):
        again = "To go on, run it again: fillblanks audit models:/m/1 --config 'a b.yaml'"
        assert told() == f"Interrupted. No unit of work was finished. {again}"
        display.kept.units.update({("m v1", "a"): 1})
        display.kept.store = "/cache"
        assert told() == f"Interrupted. 1 finished unit is kept in /cache. {again}"
        display.kept.units.update({("m v1", "b"): 11})
        assert told() == f"Interrupted. 12 finished units are kept in /cache. {again}"


@pytest.mark.parametrize(
    ("uri", "lines"),
    [
        ("http://host:5000/", ["Run r in http://host:5000/#/experiments/1/runs/r"]),
        ("https://me:secret@host", ["Run r in https://me:***@host/#/experiments/1/runs/r"]),
        ("databricks", ["Run r in databricks, page #/experiments/1/runs/r"]),
        (
            "sqlite:////tmp/a b/mlflow.db",
            [
                "/mlflow ui --backend-store-uri 'sqlite:////tmp/a b/mlflow.db'",
                "Run r in http://127.0.0.1:5000/#/experiments/1/runs/r",
            ],
        ),
    ],
)
def test_the_address_of_a_run_is_whole(uri, lines, monkeypatch, capsys):
    monkeypatch.setattr("mlflow.get_tracking_uri", lambda: uri)
    say_run("r", "#/experiments/1/runs/r")
    found = capsys.readouterr().out.splitlines()
    assert len(found) == len(lines)
    assert all(line.endswith(end) for line, end in zip(found, lines, strict=True))


def test_the_help_of_each_command_ends_with_an_example_that_is_one(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = _parser()
    commands = next(a for a in parser._actions if hasattr(a, "choices") and a.choices).choices
    assert len(commands) == len(_COMMANDS)
    for name, command in {"": parser, **commands}.items():
        told = command.format_help()
        assert max(map(len, told.splitlines())) <= 80
        *_, heading, example = told.splitlines()
        assert heading == "example:"
        assert example.startswith(f"  fillblanks {name}")
        typed = re.findall(r'"[^"]*"|\S+', example.partition(">")[0])
        parser.parse_args([word.strip('"') for word in typed[1:]])
