"""Plugins as strangers make them: real packages, the real installer, an own environment."""

from __future__ import annotations

import os
import pty
import select
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from environments import Environment

BROKEN = {
    "raises": "raise RuntimeError('no luck today')",
    "needs": "import nowhere_at_all",
    "lacks": "x = 1",
    "open": "def mine(p, t, /, *rest): return p",
    "positional": "def mine(p, t, gamma=2.0): return p",
    "text": "mine = 'not a function'",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Iterator[Environment]:
    """With the package that `lossbench new` writes, and with one that is broken in every way."""
    made = Environment(tmp_path_factory.mktemp("plugins"))
    made.lossbench("new", "my-losses")
    broken = made.folder / "broken-losses"
    (broken / "broken_losses" / "sound").mkdir(parents=True)
    (broken / "broken_losses" / "__init__.py").write_text("")
    entries = ["gone = 'broken_losses.gone:mine'", "focal = 'broken_losses.text:mine'"]
    for name, text in BROKEN.items():
        (broken / "broken_losses" / f"{name}.py").write_text(text)
        entries.append(f"broken_{name} = 'broken_losses.{name}:mine'")
    (broken / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'broken-losses'\nversion = '1.2'\n"
        "[project.entry-points.'lossbench.configs']\n"
        "sound = 'broken_losses:sound'\ngone = 'broken_losses:nowhere'\n"
        "[project.entry-points.'lossbench.losses.multiclass']\n" + "\n".join(entries)
    )
    made.install(made.folder / "my-losses", broken, editable=True)
    yield made
    made.close()


def test_a_new_package_passes_its_own_tests_unedited(environment):
    words = ("-m", "pytest", "-q", "--doctest-modules", "my-losses")
    said = environment.run(environment.python, *words)
    assert "failed" not in said


def test_a_new_loss_is_listed_checked_shown_and_trained(environment):
    assert "my-losses 0.1.0" in environment.lossbench("list", "losses")
    assert " 0 failed" in environment.lossbench("check", "my_loss")
    assert "temperature" in environment.lossbench("show", "my_loss")
    said = environment.lossbench(
        "run", "-m", "loss=cross_entropy,my_loss", "dataset=blobs", "seeds=2", "trainer=short",
        "tracking=none",
    )  # fmt: skip
    assert "my_loss" in said


def test_plain_list_marks_what_is_missing_and_verify_names_every_fault(environment):
    plain = environment.lossbench("list", "losses")
    assert "there is no module broken_losses.gone" in plain
    said = environment.lossbench("list", "--verify", code=3)
    for reason in (
        "RuntimeError: no luck today",
        "No module named 'nowhere_at_all'",
        "has no attribute 'mine'",
        "*rest",
        "gamma is positional",
        "not a function or a class",
        "No module named 'broken_losses.gone'",
    ):
        assert reason in said
    assert "broken: lossbench" not in said


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--verify",), 3)])
def test_of_a_folder_of_configurations_only_one_that_is_not_there_is_broken(
    environment, words, code
):
    said = environment.lossbench("list", "configs", *words, code=code)
    assert "there is no folder nowhere beside broken_losses" in said
    assert said.count("broken:") == 1


def test_a_name_of_two_packages_is_refused_until_one_is_chosen(environment):
    said = environment.lossbench("run", "loss=focal", "--cfg", code=2)
    assert "broken-losses and lossbench both provide it" in said
    said = environment.lossbench("run", "loss=lossbench:focal", "loss.gamma=1", "--cfg")
    assert "name: lossbench:focal" in said


QUIET = {"bash": "--norc", "zsh": "-f"}  # without the user's own settings


def completed(
    environment: Environment, line: str, enough: Callable[[str], bool], name: str = "bash"
) -> tuple[str, float]:
    """What a real interactive shell shows after the line and two tabs, and the seconds it took."""
    shell = shutil.which(name)
    if not shell:
        pytest.skip(f"{name} is not installed")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(environment.folder)
        os.execve(
            shell, [name, QUIET[name], "-i"], {**environment.environ, "TERM": "dumb", "PS1": "$ "}
        )
    shown = ""

    def read_until(condition: Callable[[str], bool], seconds: float) -> float:
        nonlocal shown
        began = time.monotonic()
        while not condition(shown) and time.monotonic() - began < seconds:
            if select.select([terminal], [], [], 0.02)[0]:
                shown += os.read(terminal, 65536).decode(errors="replace")
        return time.monotonic() - began

    os.write(terminal, f"eval \"$(lossbench completion {name})\"; echo read''y\n".encode())
    read_until(lambda text: "ready" in text, 20)
    shown = ""
    os.write(terminal, f"{line}\t\t".encode())
    took = read_until(enough, 20)
    os.close(terminal)
    os.waitpid(pid, 0)
    return shown, took


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("lossbench comp", ["compare", "completion"]),
        ("lossbench run loss=my_l", ["loss=my_loss"]),
        ("lossbench run -m loss=hinge,smooth_h", ["smooth_hinge"]),
        ("lossbench run loss=my_loss loss.t", ["loss.temperature="]),
        ("lossbench check my_", ["my_loss"]),
        ("lossbench run corruption=imbalance corruption.kind=l", ["long_tailed"]),
    ],
)
def test_a_real_bash_completes(environment, line, wanted):
    shown, _ = completed(environment, line, lambda text: all(w in text for w in wanted))
    assert all(word in shown for word in wanted), shown


def test_a_real_zsh_completes(environment):
    def found(text: str) -> bool:
        return "loss=my_loss" in text

    shown, _ = completed(environment, "lossbench run loss=my_l", found, "zsh")
    assert found(shown), shown


def test_a_real_fish_completes(environment):
    fish = shutil.which("fish")
    if not fish:
        pytest.skip("fish is not installed")
    script = "lossbench completion fish | source; complete -C 'lossbench run loss=my_loss loss.t'"
    assert "loss.temperature=" in environment.run(fish, "--no-config", "-c", script)


def test_completion_imports_nothing_heavy(environment):
    code = (
        "import os, sys; from lossbench.cli import main\n"
        "os.environ['COMP_WORDS'] = 'lossbench run loss=my'\n"
        "os.environ['_LOSSBENCH_COMPLETE'] = 'bash_complete'\n"
        "assert main() == 0\n"
        "heavy = {'torch', 'mlflow', 'numpy', 'hydra', 'my_losses'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert "loss=my_loss" in environment.run(environment.python, "-c", code)
