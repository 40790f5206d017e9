"""Wrong arguments, places that are not there, and output that nobody takes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from killing import free_port
from support import QUICK, Done, sampled

from lossbench.cli import main

ROWS = [
    ("no-folder", "sync --results nosuch", 2, "--results nosuch: there is no folder"),
    ("file-as-folder", "sync --results file", 2, "--results file: there is no folder"),
    ("doctor-of-a-file", "doctor --results file", 2, "--results file: not a folder"),
    ("name-too-long", "reproduce " + "x" * 300, 2, "the name is too long"),
    ("package-too-long", "new " + "x" * 300, 2, "the name is too long"),
    ("package-keyword", "new class", 2, "new class: there is a module of this name already"),
    ("package-taken", "new torch", 2, "new torch: there is a module of this name already"),
    ("port-high", "ui --uri sqlite:///a.db --port 99999", 2, "--port 99999: expected 1 to 65535"),
    ("port-low", "ui --uri sqlite:///a.db --port -1", 2, "--port -1: expected 1 to 65535"),
    ("scheme", "ui --uri foo://x", 2, "tracking.uri=foo://x: not the address of an MLflow store"),
    ("no-store", "ui --uri sqlite:///nowhere.db", 4, "there is no store nowhere.db"),
    ("no-database", "ui --uri sqlite:///file", 4, "file is not a database"),
    ("no-user", "run dataset=csv dataset.path=~nobody_/a.csv dataset.target=z", 2, "nobody_/a.csv"),
    ("device", "run dataset=csv dataset.path=/dev/zero dataset.target=z", 2, "not a regular file"),
    ("no-home", "run loss='~nobody_/mine.py:f'", 2, "there is no file"),
]


@pytest.mark.parametrize(
    ("words", "code", "said"), [pytest.param(w, c, s, id=i) for i, w, c, s in ROWS]
)
def test_a_wrong_argument_gets_a_line_and_leaves_nothing(words, code, said, command, here):
    told = command(*words.split(), files={"file": "text"})
    assert told.code == code, told
    assert said in told.err
    assert len(told.err.splitlines()) <= 2
    assert not {file.name for file in here.iterdir()} - {"file", "results"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("compare a b", "compare: Got unexpected extra argument (b). See lossbench compare --help"),
        ("compare --same-within x", "--same-within: 'x' is not a valid float. See lossbench comp"),
        ("compare --format xml", "--format: there is no format xml. Allowed: csv, json,"),
        (
            "list loses",
            "list: there is no kind loses. Did you mean losses? Allowed: augmentations,",
        ),
        ("comapre", "comapre: there is no such command. Did you mean compare?"),
        ("run loss=focal --dryrun", "--dryrun: there is no such flag. Did you mean --dry-run? See"),
        ("run --config-dri=x", "--config-dri=x: there is no such flag. Did you mean --config-dir"),
        ("run --seeds=20 -m", "--seeds=20: a key has no dashes: seeds=20. See lossbench run --h"),
        ("new", "new: NAME is missing. See lossbench new --help."),
    ],
)
def test_words_that_no_command_takes_get_a_line(words, said, capsys):
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lossbench: error: {said}")


def test_lossbench_alone_says_what_to_try(capsys):
    assert main([]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("lossbench: which loss should I train with?")
    assert "lossbench run experiment=quickstart" in captured.out
    assert not captured.err


@pytest.mark.parametrize("words", ["--debug compare --results x", "compare --results x --debug"])
def test_debug_may_stand_anywhere(words, here, capsys):
    assert main(words.split()) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(command, here):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = command("ui", "--uri", "sqlite:///a.db", f"--port={port}", files={"a.db": ""})
    assert told.code == 4
    assert f"--port {port}: Address already in use" in told.err


def test_an_experiment_that_the_store_has_not_is_not_made(command, with_store):
    assert command("run", *QUICK, "tracking=sqlite").code == 0
    told = command("ui", "--experiment", "lossbnch")
    assert told.code == 2
    assert "--experiment lossbnch: the store has no such experiment. Did you mean lossb" in told.err


def test_ctrl_c_ends_the_interface_and_nothing_is_said_of_resuming(command, with_store):
    """MLflow's own experiment is in every store."""
    interrupt = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    done = command("ui", "--port", str(free_port()))
    interrupt.join()
    assert done.code == 130
    assert "lossbench: interrupted.\n" in done.err


def test_a_result_is_found_by_its_path_as_well(command, here):
    assert command("run", *QUICK).code == 0
    (place,) = here.glob("results/*/seeds.parquet")
    told = command("reproduce", str(place.parent.relative_to(here)))
    assert told.code == 0, told
    assert "Identical" in told.out


def process(here: Path, words: str) -> Done:
    """A command as a shell runs it."""
    done = subprocess.run(
        f"{sys.executable} -m lossbench.cli {words}",
        shell=True,
        executable="/bin/bash",
        cwd=here,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_a_reader_that_leaves_ends_no_training(here):
    words = " ".join(("run loss=focal", *QUICK))
    told = process(here, f"{words} | true; exit ${{PIPESTATUS[0]}}")
    assert told.code == 0, told
    assert not told.err
    assert len(list(here.glob("results/*/seeds.parquet"))) == 1
    told = process(here, "compare | true; exit ${PIPESTATUS[0]}")
    assert (told.code, told.err) == (0, "")
    told = process(here, "list losses | true; exit ${PIPESTATUS[0]}")
    assert (told.code, told.err) == (0, "")


def test_what_the_terminal_has_no_letter_for_is_replaced(here, command, monkeypatch):
    assert command("run", *QUICK).code == 0
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    told = process(here, "compare")
    assert (told.code, told.err) == (0, "")
    assert "noise 0.2) - mlp" in told.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", sampled(["list losses", "show focal"], 2))
def test_output_that_cannot_be_written_is_no_bug_of_ours(words, here):
    told = process(here, f"{words} > /dev/full")
    assert told.code == 4
    assert told.err == "lossbench: error: a file or the output: No space left on device.\n"
