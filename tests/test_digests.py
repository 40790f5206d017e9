"""What decides numbers is noticed when it changes, and what cannot matter is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbench import registry
from lossbench.contract import UserError
from lossbench.registry import identity
from lossbench.registry.digests import content_digest, reach_of
from lossbench.registry.kinds import CHOICES

DATASET = """
from lossbench.contract import File, Folder
def mine(rng, /, *, tables: list[File], images: Folder | None = None, noise: float = 0.1):
    ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, **files: str) -> None:
    """Write files: a.py for `a`, a/b.py for `a__b`, tables for what is no code."""
    for name, content in files.items():
        suffix = "py" if "\n" in content else "csv"
        file = folder / f"{name.replace('__', '/')}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def package_of(folder: Path, text: str) -> None:
    """Make a package of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text(text)


# --- code ---------------------------------------------------------------------------------------
LOSS = """
import math
{head}

def helper(x):
    return x

def other(x):
    return helper(x)

def loss(p, t, /, *, gamma: float = 2.0):
    \"""Punishes.\"""
    {body}
"""


def code(folder: Path, module: str = "own.py", attribute: str = "loss") -> str:
    """The digest of a loss as the files of a folder are now."""
    registry.refresh()
    name = str(folder / module) if module.endswith(".py") else module
    return identity.code_of(registry.Plugin("loss", "x", name, attribute))


def own(head: str = "", body: str = "return p * SCALE") -> str:
    return LOSS.format(head=head, body=body)


# What stands before the definition, and what it is changed to: each decides what SCALE or f is.
DECIDES = {
    "plain": ("SCALE = 1.0", "SCALE = 2.0"),
    "annotated": ("SCALE: float = 1.0", "SCALE: float = 2.0"),
    "tuple": ("SCALE, B = 1.0, 2.0", "SCALE, B = 2.0, 2.0"),
    "starred": ("B, *SCALE = 1.0, 2.0", "B, *SCALE = 1.0, 3.0"),
    "chained": ("B = SCALE = 1.0", "B = SCALE = 2.0"),
    "walrus": ("B = (SCALE := 1.0)", "B = (SCALE := 2.0)"),
    "subscript": ("SCALE = {}\nSCALE['k'] = 1.0", "SCALE = {}\nSCALE['k'] = 2.0"),
    "attribute": ("class SCALE: pass\nSCALE.k = 1.0", "class SCALE: pass\nSCALE.k = 2.0"),
    "augmented": ("SCALE = 1.0\nSCALE *= 1.0", "SCALE = 1.0\nSCALE *= 2.0"),
    "deleted": ("SCALE = {1: 1}", "SCALE = {1: 1}\ndel SCALE[1]"),
    "method": ("SCALE = []\nSCALE.append(1)", "SCALE = []\nSCALE.append(2)"),
    "method-kept": ("SCALE = [1]\n_ = SCALE.append(1)", "SCALE = [1]\n_ = SCALE.append(2)"),
    "argument": (
        "def fill(x): x.append(1)\nSCALE = []\n_ = fill(SCALE)",
        "def fill(x): x.append(2)\nSCALE = []\n_ = fill(SCALE)",
    ),
    "try": (
        "try:\n    import gone\nexcept ImportError:\n    SCALE = 1.0",
        "try:\n    import gone\nexcept ImportError:\n    SCALE = 2.0",
    ),
    "if": ("if True:\n    SCALE = 1.0", "if True:\n    SCALE = 2.0"),
    "with": ("with open('x') as SCALE: pass", "with open('y') as SCALE: pass"),
    "for": ("for SCALE in [1.0]: pass", "for SCALE in [2.0]: pass"),
    "while": ("SCALE = 0\nwhile SCALE < 1: SCALE += 1", "SCALE = 0\nwhile SCALE < 2: SCALE += 1"),
    "match": (
        "match 1:\n    case SCALE: pass",
        "match 2:\n    case SCALE: pass",
    ),
    "global": (
        "SCALE = 1.0\ndef grow():\n    global SCALE\n    SCALE = 1.0\ngrow()",
        "SCALE = 1.0\ndef grow():\n    global SCALE\n    SCALE = 2.0\ngrow()",
    ),
    "indirect": ("ONE = 1.0\nSCALE = ONE + 1", "ONE = 2.0\nSCALE = ONE + 1"),
    "lambda": ("SCALE = lambda: 1.0", "SCALE = lambda: 2.0"),
    "class": (
        "class Base:\n    k = 1.0\nclass SCALE(Base): pass",
        "class Base:\n    k = 2.0\nclass SCALE(Base): pass",
    ),
    "decorator": (
        "def twice(f): return f\n@twice\ndef SCALE(): ...",
        "def twice(f): return 2\n@twice\ndef SCALE(): ...",
    ),
    "registered": (
        "SCALE = {}\ndef enter(f):\n    SCALE[f] = f\n    return f\n@enter\ndef one(): return 1",
        "SCALE = {}\ndef enter(f):\n    SCALE[f] = f\n    return f\n@enter\ndef one(): return 2",
    ),
    "subclass": (
        "class SCALE:\n    def __init_subclass__(cls): SCALE.k = cls\nclass One(SCALE):\n    k = 1",
        "class SCALE:\n    def __init_subclass__(cls): SCALE.k = cls\nclass One(SCALE):\n    k = 2",
    ),
    "dispatched": (
        "@math.dispatch\ndef SCALE(): ...\n@SCALE.register\ndef _(x: int): return 1",
        "@math.dispatch\ndef SCALE(): ...\n@SCALE.register\ndef _(x: int): return 2",
    ),
    "class method": (
        "class SCALE:\n    @classmethod\n    def add(c, f): ...\n@SCALE.add\ndef _(): return 1",
        "class SCALE:\n    @classmethod\n    def add(c, f): ...\n@SCALE.add\ndef _(): return 2",
    ),
    "import": ("from math import pi as SCALE", "from math import e as SCALE"),
    "star": ("from math import *\nSCALE = pi", "from cmath import *\nSCALE = pi"),
    "patched": ("SCALE = 1.0\nmath.pi = 3", "SCALE = 1.0\nmath.pi = 4"),
    "called": ("SCALE = 1.0\nmath.setup(3)", "SCALE = 1.0\nmath.setup(4)"),
    "globals": ("globals()['SCALE'] = 1.0", "globals()['SCALE'] = 2.0"),
    "in place, by another name": (
        "SCALE = [1]\nB = SCALE\nB[0] = 1",
        "SCALE = [1]\nB = SCALE\nB[0] = 2",
    ),
    "docstring of a class": (
        "class A:\n    '1'\nSCALE = float(A.__doc__)",
        "class A:\n    '2'\nSCALE = float(A.__doc__)",
    ),
    "docstring, read by a helper": (
        "def read(f): return f.__doc__\ndef A():\n    '1'\nSCALE = read(A)",
        "def read(f): return f.__doc__\ndef A():\n    '2'\nSCALE = read(A)",
    ),
    "docstring, by its name": (
        "def A():\n    '1'\nSCALE = getattr(A, '__doc__')",
        "def A():\n    '2'\nSCALE = getattr(A, '__doc__')",
    ),
    "docstring, by inspect": (
        "from inspect import getdoc\ndef A():\n    '1'\nSCALE = getdoc(A)",
        "from inspect import getdoc\ndef A():\n    '2'\nSCALE = getdoc(A)",
    ),
    "dynamic": ("SCALE = 1.0\nexec('SCALE = 1.0')", "SCALE = 1.0\nexec('SCALE = 2.0')"),
}


@pytest.mark.parametrize("how", DECIDES)
def test_what_decides_a_constant_of_the_file_is_noticed(how, here):
    before, after = DECIDES[how]
    put(here, own=own(before))
    digest = code(here)
    put(here, own=own(after))
    assert code(here) != digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("gamma: float = 2.0", "gamma: float = 3.0"),
        ("return p *", "return p +"),
        ("def loss", "@math.cache\ndef loss"),
        ("return p * SCALE", "return helper(p)"),
        ("return p * SCALE", "import random\n    return p * SCALE"),
    ],
)
def test_the_definition_itself_is_noticed(before, after, here):
    put(here, own=own("SCALE = 1.0"))
    digest = code(here)
    put(here, own=own("SCALE = 1.0").replace(before, after))
    assert code(here) != digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SCALE = 1.0", "SCALE = 1.0  # one"),
        ("SCALE = 1.0", "SCALE=( 1.00 )\n\n"),
        ("def helper", "from math import e\nfrom cmath import pi\ndef helper"),
        ("Punishes.", "Punishes, or rewards."),
        ('    """Punishes."""\n', ""),
        ("def other(x):\n    return helper(x)", "def other(y):\n    return 2 * helper(y)"),
        ("def helper(x):\n    return x", "def helper(x):\n    return -x"),
        ("import math", "import math, random\nUNUSED = math.sqrt(SCALE) if 0 else 1"),
        ("def other", "@math.cache\ndef other"),
        ("def other(x):\n    ", "def other(x):\n    SCALE = x\n    "),
        ("import math", "import math\nif __name__ == '__main__':\n    print(other(1))"),
    ],
)
def test_what_cannot_matter_is_not_noticed(before, after, here):
    put(here, own=own("SCALE = 1.0"))
    digest = code(here)
    assert before in own("SCALE = 1.0")
    put(here, own=own("SCALE = 1.0").replace(before, after))
    assert code(here) == digest


# An import of the file, and what makes SCALE of it, from helpers.py or from pkg/inner.py.
IMPORTED = [
    ("from helpers import SCALE", "SCALE"),
    ("from helpers import *", "SCALE"),
    ("import helpers", "helpers.SCALE"),
    ("import helpers as h", "h.SCALE"),
    ("import helpers", "vars(helpers)"),
    ("import helpers", "getattr(helpers, 'SCALE')"),
    ("from helpers import scale", "scale()"),
    ("from helpers import indirect", "indirect()"),
    ("import importlib\nhelpers = importlib.import_module('helpers')", "helpers.SCALE"),
    ("", "__import__('helpers').SCALE"),
    ("", "local"),
    ("import pkg.inner", "pkg.inner.SCALE"),
    ("import pkg", "pkg.inner.SCALE"),
    ("from pkg import inner", "inner.SCALE"),
    ("from pkg import inner as i", "i.scale()"),
    ("from pkg.inner import SCALE", "SCALE"),
    ("from pkg import SCALE", "SCALE"),
    ("import pkg as p_", "p_.SCALE"),
]
HELPERS = """
def indirect():
    return scale()
def scale():
    return SCALE
def unrelated():
    return 1
SCALE = 1.0
"""


@pytest.mark.parametrize(("line", "use"), IMPORTED)
def test_what_neighbouring_modules_give_is_noticed(line, use, here):
    body = f"return {use} * p"
    if use == "local":
        body = "from helpers import SCALE as s\n    return s * p"
    put(here, own=own(line, body), helpers=HELPERS, pkg__inner=HELPERS)
    package_of(here / "pkg", "from .inner import SCALE, indirect\nfrom . import inner\n")
    digest = code(here)
    unrelated = HELPERS.replace("return 1", "return 2  # more")
    put(here, helpers=unrelated, pkg__inner=unrelated)
    whole = use in ("vars(helpers)", "getattr(helpers, 'SCALE')", "__import__('helpers').SCALE")
    assert (code(here) == digest) != (whole or "importlib" in line)
    digest = code(here)
    changed = unrelated.replace("SCALE = 1.0", "SCALE = 2.0")
    put(here, helpers=changed, pkg__inner=changed)
    assert code(here) != digest


def test_a_module_that_a_neighbour_imports_for_its_effect_is_noticed(here):
    put(here, own=own("import helpers", "return p"), helpers="import patches\n")
    put(here, patches="import math\nmath.pi = 3\n")
    digest = code(here)
    put(here, patches="import math\nmath.pi = 4\n")
    assert code(here) != digest


def test_a_function_registered_in_a_neighbour_is_noticed(here):
    put(here, helpers="TABLE = []\ndef enter(f):\n    TABLE.append(f)\n    return f\n")
    head = "from helpers import TABLE, enter\n@enter\ndef one(x): return 1"
    put(here, own=own(head, "return TABLE[0](p)"))
    digest = code(here)
    put(here, own=own(head.replace("return 1", "return 2"), "return TABLE[0](p)"))
    assert code(here) != digest


# Files that one.py and two.py are next to, and what is different after a change.
ORDERED = {
    "two imports of a name": "from one import SCALE\nfrom two import SCALE",
    "an import and a value": "from one import SCALE\nSCALE = 3",
    "every name, twice": "from one import *\nfrom two import *",
    "a name, then every name": "from one import SCALE\nfrom two import *",
}


@pytest.mark.parametrize("how", ORDERED)
def test_which_import_of_a_name_comes_last_is_noticed(how, here):
    first, second = ORDERED[how].split("\n")
    put(here, one="SCALE = 1\n", two="SCALE = 2\n", own=own(f"{first}\n{second}"))
    digest = code(here)
    put(here, own=own(f"{second}\n{first}"))
    assert code(here) != digest


def test_neighbours_that_change_places_are_noticed(here):
    head, body = "import one, two", "return p * one.SCALE - t * two.SCALE"
    put(here, one="SCALE = 1\n", two="SCALE = 2\n", own=own(head, body))
    digest = code(here)
    put(here, one="SCALE = 2\n", two="SCALE = 1\n")
    assert code(here) != digest


def test_the_docstring_of_a_module_counts_where_code_reads_it(here):
    put(here, own=own("import helpers", "return helpers.__doc__"), helpers="'1'\nA = 1\n")
    digest = code(here)
    put(here, helpers="'2'\nA = 1\n")
    assert code(here) != digest


ENTERED = [
    ("@table.enter('a')\ndef one(x): return 1", "import table\n"),
    ("@ENTRIES('a')\ndef one(x): return 1", "from table import ENTRIES\n"),
    ("@ENTRIES.more('a')\ndef one(x): return 1", "from table import *\n"),
    ("_ = table.enter('a', 1)", "import table\n"),
    ("_ = [table.ENTRIES.append(i) for i in [1]]", "import table\n"),
    ("ENTRIES |= {'a': 1}", "from table import ENTRIES\n"),
]


@pytest.mark.parametrize(("entry", "head"), ENTERED)
def test_what_one_neighbour_enters_in_a_table_of_another_is_noticed(entry, head, here):
    put(here, table="ENTRIES = Table()\ndef enter(k, v): ENTRIES[k] = v\n")
    put(here, own=own("import table, entries", "return table.ENTRIES[0](p)"))
    put(here, entries=f"{head}{entry}\n")
    digest = code(here)
    put(here, entries=f"{head}{entry.replace('1', '2')}\n")
    assert code(here) != digest


@pytest.mark.parametrize("use", ["open('w.csv')", "load(HERE / 'w.csv')", "load(NAME)"])
def test_a_file_next_to_the_code_that_a_string_names_is_noticed(use, here, monkeypatch):
    put(here, own=own(f"HERE = Path(__file__).parent\nNAME = 'w.csv'\nSCALE = {use}"), w="1")
    digest = code(here)
    monkeypatch.chdir("/")
    assert code(here) == digest
    put(here, w="2")
    assert code(here) != digest


@pytest.fixture
def package(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with a loss in pkg.losses, as an editable install has it."""
    monkeypatch.syspath_prepend(str(here))
    head = "from .deep import helpers\nfrom pkg_own.deep.helpers import scale\nimport flat"
    losses = own(head, "return helpers.SCALE * scale() * flat.SCALE")
    put(here, pkg_own__losses=losses, pkg_own__deep__helpers=HELPERS, flat=HELPERS)
    put(here, pkg_own__no_init__inner="K = 1.0\n")
    package_of(here / "pkg_own", "from .losses import loss\n")
    package_of(here / "pkg_own" / "deep", "")
    return here


@pytest.mark.parametrize("module", ["pkg_own", "pkg_own.losses"])
@pytest.mark.parametrize("changed", ["pkg_own/deep/helpers.py", "flat.py", "pkg_own/losses.py"])
def test_what_other_modules_of_the_package_give_is_noticed(module, changed, package):
    digest = code(package, module)
    file = package / changed
    file.write_text(file.read_text().replace("return 1", "return 3  # unrelated"))
    assert code(package, module) == digest
    file.write_text(file.read_text().replace("1.0", "2.0").replace("* flat", "+ flat"))
    assert code(package, module) != digest


def test_a_subfolder_without_init_is_noticed(package):
    put(package, pkg_own__losses=own("from .no_init.inner import K", "return p * K"))
    digest = code(package, "pkg_own.losses")
    put(package, pkg_own__no_init__inner="K = 2.0\n")
    assert code(package, "pkg_own.losses") != digest


def test_a_module_of_another_folder_on_the_path_is_noticed(here, monkeypatch):
    """So a package that is installed as editable is found."""
    put(here / "lab", mylab__inner="K = 1.0\nOTHER = 1\n")
    monkeypatch.syspath_prepend(here / "lab")
    put(here / "study", own=own("from mylab.inner import K", "return p * K"))
    digest = code(here / "study")
    put(here / "lab", mylab__inner="K = 1.0\nOTHER = 2\n")
    assert code(here / "study") == digest
    put(here / "lab", mylab__inner="K = 2.0\nOTHER = 2\n")
    assert code(here / "study") != digest


def test_installed_packages_are_not_followed(here):
    put(
        here,
        own=own("import math, torch, pytest, lossbench", "return pytest, torch, math, lossbench"),
    )
    assert len(reach_of(str(here / "own.py"), "loss", "file").statements) == 1


def test_where_a_file_is_and_what_it_is_called_does_not_count(here):
    for folder, name in ((here, "own"), (here / "elsewhere", "mine")):
        put(folder, **{name: own("from helpers import SCALE"), "helpers": HELPERS})
    assert code(here) == code(here / "elsewhere", "mine.py")


def test_a_file_with_the_name_of_a_builtin_is_no_submodule_of_a_loss(here, monkeypatch):
    """Python finds it by that name alone: `sum` in a loss is not the working directory's sum.py."""
    package_of(here / "mine", "")
    put(here, sum="import sys\nprint(sum(sys.argv))\n", mine__loss="def loss(p, t): sum(p)\n")
    monkeypatch.syspath_prepend(here)
    reach = reach_of("mine.loss", "loss", "mine")
    assert {module.name for module in reach.statements} == {"mine", "mine.loss"}


def test_code_is_not_imported_to_be_known(here):
    put(here, own=own("import sys\nSCALE = sys.exit(3)"))
    assert code(here)


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        ("import importlib", "return importlib.import_module(p)", "what import_module() runs"),
        ("", "return eval(p)", "what eval() runs"),
        ("DATA = open('weights.txt')", "return DATA", "weights.txt is read, and not looked at"),
        ("HERE = __file__", "return HERE", "files next to it are read"),
        ("import sys\nsys.path.append('..')", "return p", "sys.path is changed"),
        ("import sys\nM = sys.modules['a']", "return M", "what sys.modules holds is not"),
        ("import os\nK = os.environ['K']", "return K", "the environment is read"),
        ("N = 1\nK = load(f'w{N}')", "return K", "what f'w{N}' names is read; only files next"),
        ("class A: ...", "return A.__subclasses__()", "what __subclasses__() finds"),
        ("HERE = __path__", "return HERE", "files next to it are read"),
        ("import inspect", "return inspect.getsource(p)", "the text of code is read"),
    ],
)
def test_what_was_not_looked_at_is_listed(head, body, said, here):
    put(here, own=own(head, body))
    plugin = registry.Plugin("loss", "x", str(here / "own.py"), "loss")
    (line,) = identity.not_looked_at(plugin, {})
    assert line.startswith("own.py:")
    assert said in line


def test_of_built_in_losses_all_is_looked_at():
    for kind in CHOICES:
        for plugin in registry.installed(kind):
            if plugin.package == "lossbench":
                assert not identity.not_looked_at(plugin, {}), plugin


# --- files and folders that a parameter names ---------------------------------------------------


def known_as(here: Path, **values: object) -> dict:
    (here / "own.py").write_text(DATASET)
    return identity.identity("dataset", "own.py:mine", values)


def test_the_content_of_each_file_and_folder_counts(here):
    put(here, a="1", b="2")
    put(here / "images" / "cats", one="pixels")
    values = {"tables": ["a.csv", "b.csv"], "images": "images", "noise": 0.1}
    before = known_as(here, **values)
    put(here, b="3")
    changed = known_as(here, **values)
    assert changed != before
    put(here / "images" / "cats", two="pixels")
    assert known_as(here, **values) != changed


def test_where_files_are_and_how_their_path_is_written_does_not_count(here):
    put(here, a="1")
    put(here / "elsewhere", other="1")
    paths = ("a.csv", "./a.csv", str(here / "a.csv"), "elsewhere/other.csv")
    assert len({str(known_as(here, tables=[path])) for path in paths}) == 1


def test_files_that_a_system_hides_in_a_folder_do_not_count(here):
    put(here / "images", one="pixels")
    before = content_digest("images", "folder", "dataset.images")
    (here / "images" / ".DS_Store").write_text("icons")
    assert content_digest("images", "folder", "dataset.images") == before


REFUSED = [
    ("gone.csv", "file", "there is no such file"),
    ("images", "file", "is a folder, not a regular file"),
    ("a.csv", "folder", "is a file, not a folder"),
    ("/dev/zero", "file", "is a pipe or device, not a regular file"),
]


@pytest.mark.parametrize(("path", "place", "said"), REFUSED)
def test_a_place_that_cannot_be_read_is_refused_in_a_line(here, path, place, said):
    put(here, a="1")
    (here / "images").mkdir()
    with pytest.raises(UserError, match=f"dataset.path={path}.*{said}"):
        content_digest(path, place, "dataset.path")


def test_a_file_that_no_annotation_declares_is_named(here):
    put(here, a="1", own="def mine(rng, /, *, table: str, label: str = 'a'): ...\n")
    (plugin,) = registry.find("dataset", "own.py:mine")
    (line,) = identity.not_looked_at(plugin, {"table": "a.csv", "label": "b.csv"})
    assert "table=a.csv is there as a file, and not looked at; annotate table as File" in line
