"""Plugins as strangers make them: real packages, the real installer, an own environment."""

from __future__ import annotations

import os
import pty
import select
import shutil
import time
from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from environments import Environment
from support import put, sampled

BODIES = {
    "raises": "raise RuntimeError('no luck today')",
    "needs": "import nowhere_at_all",
    "lacks": "x = 1",
    "open": "def mine(p, t, /, *rest): return p",
    "positional": "def mine(p, t, gamma=2.0, /): return p",
    "text": "mine = 'not a function'",
    "wrong": "def mine(:",
    "leaves": "import sys; sys.exit(0)",
    "meddles": (
        "import random, numpy, torch\n"
        "torch.set_default_dtype(torch.float64); torch.manual_seed(1); random.seed(1)\n"
        "torch.set_num_threads(3); torch.set_grad_enabled(False); numpy.random.seed(1)\n"
        "def mine(p, t, /, *, a: float = 1.0):\n    return (p - t) ** 2\n"
    ),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Iterator[Environment]:
    """With the package that `lossbench new` writes, and with one that is broken in every way."""
    made = Environment(tmp_path_factory.mktemp("plugins"))
    made.lossbench("new", "my-losses")
    entries = {f"bad_{name}": f"bad_losses.{name}:mine" for name in (*BODIES, "gone")}
    lines = [f"{name} = '{place}'" for name, place in entries.items()]
    project = (
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'bad-losses'\nversion = '1.2'\n"
        "[project.entry-points.'lossbench.configs']\n"
        "sound = 'bad_losses:sound'\ngone = 'bad_losses:nowhere'\n"
        "[project.entry-points.'lossbench.losses.binary']\n"
        "focal = 'bad_losses.lacks:x'\n" + "\n".join(lines)
    )
    package = made.folder / "bad-losses"
    (package / "bad_losses" / "sound").mkdir(parents=True)
    files = {f"bad_losses/{name}.py": body for name, body in BODIES.items()}
    put(package, {"pyproject.toml": project, "bad_losses/__init__.py": "", **files})
    made.install(made.folder / "my-losses", package, editable=True)
    yield made
    made.close()


@pytest.mark.slow
def test_a_new_package_passes_its_own_tests_unedited(environment):
    words = ("-m", "pytest", "-q", "--doctest-modules", "my-losses")
    said = environment.run(environment.python, *words)
    assert "failed" not in said


@pytest.mark.slow
def test_a_new_loss_is_listed_checked_shown_and_trained(environment):
    assert "my-losses 0.1.0" in environment.lossbench("list", "losses")
    assert " 0 failed" in environment.lossbench("check", "my_loss")
    assert "temperature" in environment.lossbench("show", "my_loss")
    said = environment.lossbench(
        "run", "-m", "loss=cross_entropy,my_loss", "dataset=blobs", "seeds=2", "trainer=short",
        "tracking=none",
    )  # fmt: skip
    assert "my_loss" in said


def test_a_plain_list_marks_what_is_missing(environment):
    assert "there is no module bad_losses.gone" in environment.lossbench("list", "losses")


@pytest.mark.slow
def test_verify_names_every_fault(environment):
    said = environment.lossbench("list", "losses", "--verify", code=3)
    for reason in (
        "RuntimeError: no luck today",
        "No module named 'nowhere_at_all'",
        "has no attribute 'mine'",
        "*rest",
        "gamma is positional",
        "not a function or a class",
        "No module named 'bad_losses.gone'",
    ):
        assert reason in said
    assert "broken: lossbench" not in said


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--verify",), 3)])
def test_of_a_folder_of_configurations_only_one_that_is_not_there_is_broken(
    environment, words, code
):
    said = environment.lossbench("list", "configs", *words, code=code)
    assert "there is no folder nowhere next to bad_losses" in said
    assert said.count("broken:") == 1


USED = [
    ("F24-raises", "bad_raises", "RuntimeError: no luck today"),
    ("F24-needs", "bad_needs", "No module named 'nowhere_at_all'"),
    ("F24-lacks", "bad_lacks", "has no attribute 'mine'"),
    ("F24-syntax", "bad_wrong", "SyntaxError"),
    ("F24-module", "bad_gone", "No module named 'bad_losses.gone'"),
    ("F25", "bad_leaves", "SystemExit: 0"),
    ("F27", "focal", "bad-losses and lossbench both provide it. Choose with loss=bad-losses:focal"),
]


@pytest.mark.parametrize(("loss", "said"), [pytest.param(n, s, id=i) for i, n, s in USED])
def test_a_broken_plugin_that_is_asked_for_gets_one_line(loss, said, environment):
    words = (f"loss={loss}", "dataset=moons", "tracking=none", "trainer=short")
    told = environment.command("run", *words)
    assert told.code == 2, told
    assert said in told.err
    assert "bad-losses" in told.err
    assert len(told.err.splitlines()) <= 2


@pytest.mark.slow
def test_f24_doctor_names_every_broken_package_and_nothing_else_is_hurt(environment):
    said = environment.command("doctor")
    assert said.code == 3, said
    assert "11 broken" in said.out
    assert "SystemExit: 0" in said.out
    assert "Traceback" not in said.err


@pytest.mark.slow
def test_f28_others_train_next_to_one_that_meddles_with_the_same_bits(environment):
    words = ("dataset=moons", "trainer=short", "seeds=3", "launcher.workers=1", "tracking=none")
    alone = environment.command("run", "loss=squared_error", *words, "results.dir=alone")
    assert alone.code == 0, alone
    words = ("-m", "loss=bad_meddles,squared_error", *words)
    apart = environment.command("run", *words, "results.dir=apart")
    assert apart.code == 0, apart
    told = " ".join(apart.out.split())
    assert "loss=bad_meddles of bad-losses 1.2 (bad_losses.meddles:mine) changed Python's" in told
    assert "torch's default dtype" in told
    (one,) = environment.folder.glob("alone/*/curves.parquet")
    (other,) = environment.folder.glob(f"apart/{one.parent.name}/curves.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other), check_exact=True)


def test_a_name_of_two_packages_is_chosen_by_its_package(environment):
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
    sampled(
        [
            ("lossbench comp", ["compare", "completion"]),
            ("lossbench run loss=my_l", ["loss=my_loss"]),
            ("lossbench run -m loss=hinge,smooth_h", ["smooth_hinge"]),
            ("lossbench run loss=my_loss loss.t", ["loss.temperature="]),
            ("lossbench check my_", ["my_loss"]),
            ("lossbench run corruption=imbalance corruption.kind=l", ["long_tailed"]),
        ],
        3,
    ),
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


@pytest.mark.slow
def test_f26_a_package_that_python_cannot_read_is_named(environment):
    """Nobody can call entry_points() next to it, so Lightning and MLflow cannot be imported."""
    place = environment.site / "malformed-1.0.dist-info"
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: malformed\nVersion: 1.0\n",
        "entry_points.txt": "[lossbench.losses.binary]\njust a line\n",
    }
    put(place, files)
    environment.close()
    try:
        assert "focal" in environment.command("list", "losses").out
        for words in (("run", "loss=squared_error", "dataset=moons"), ("doctor",)):
            said = environment.command(*words)
            assert said.code == 4, said
            assert "the installed package malformed has an entry_points.txt" in said.err
            assert "pip uninstall malformed" in said.err
    finally:
        shutil.rmtree(place)
        environment.close()
