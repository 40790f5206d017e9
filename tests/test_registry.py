"""Plugins: found by metadata, read as text, loaded when asked for; the signature is the schema."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from lossbench import registry
from lossbench.contract import UserError
from lossbench.registry import entry_points, schema
from lossbench.registry.kinds import KINDS
from lossbench.registry.schema import Kind, Parameter, convert, parameters_of_object, validate


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution on the path: its files, its entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(name: str, entries: str, **files: str) -> None:
        for module, text in files.items():
            (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entries)
        for cached in (registry.installed, entry_points.entry_points):
            cached.cache_clear()

    yield installed
    for cached in (registry.installed, entry_points.entry_points):
        cached.cache_clear()


LOSS = """
def mine(prediction, target, /, *, num_classes: int, gamma: float = 2.0):
    return prediction.sum(-1) * gamma
"""
GROUP = "[lossbench.losses.multiclass]\n"


def test_an_installed_loss_is_found_read_and_loaded(install):
    install("other-losses", GROUP + "mine = other_losses:mine\n", other_losses=LOSS)
    (plugin,) = registry.find("loss", "mine")
    assert (plugin.package, plugin.version, plugin.task) == ("other-losses", "1.0", "multiclass")
    assert registry.parameters(plugin) == (Parameter("gamma", Kind(float), 2.0),)
    assert registry.facts(plugin) == ("num_classes",)
    assert "other_losses" not in sys.modules
    assert registry.load(plugin).__name__ == "mine"


def test_a_regularizers_keyword_without_default_is_for_the_user_to_give(tmp_path):
    """The task supplies facts to losses and corruptions only."""
    file = tmp_path / "mine.py"
    file.write_text("def pull(weights, /, *, strength: float):\n    return strength * weights[0]\n")
    (plugin,) = registry.find("regularizer", f"{file}:pull")
    assert [p.name for p in registry.parameters(plugin)] == ["strength"]
    assert registry.facts(plugin) == ()


def test_two_packages_with_one_name_are_an_error_that_names_both_and_the_way_out(install):
    install("other-losses", GROUP + "focal = other_losses:mine\n", other_losses=LOSS)
    with pytest.raises(UserError, match=r"lossbench and other-losses both.*loss=lossbench:focal"):
        registry.find("loss", "focal")
    (chosen,) = registry.find("loss", "other-losses:focal")
    assert chosen.module == "other_losses"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("x = 1", "has no attribute 'mine'"),
        ("def mine(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit"),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason_when_it_is_asked_for(install, text, cause):
    sys.modules.pop("broken_losses", None)
    install("broken-losses", GROUP + "broken = broken_losses:mine\n", broken_losses=text)
    assert "broken" in registry.names("loss")
    assert "focal" in registry.names("loss")
    (plugin,) = registry.find("loss", "broken")
    with pytest.raises(UserError) as caught:
        registry.load(plugin)
    assert "broken-losses 1.0 (broken_losses:mine)" in str(caught.value)
    assert cause in str(caught.value)


def test_a_malformed_distribution_hurts_nobody_else(install):
    install("malformed", "[lossbench.losses.binary\nx = ")
    assert "focal" in registry.names("loss")


def test_a_definition_is_followed_through_a_package_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "deep_losses"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import mine as theirs\nraise SystemError")
    (package / "inner.py").write_text(LOSS)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = registry.Plugin("loss", "x", "deep_losses", "theirs")
    assert [p.name for p in registry.parameters(plugin)] == ["gamma"]
    assert "deep_losses" not in sys.modules


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "task"])
def test_a_signature_read_as_text_is_the_one_that_is_imported(kind):
    for plugin in registry.installed(kind):
        if plugin.package == "lossbench":
            imported = parameters_of_object(registry.load(plugin))
            text = registry.signature(plugin)
            assert [(p.name, p.kind) for p in text] == [(p.name, p.kind) for p in imported]


@pytest.mark.parametrize("name", registry.names("loss"))
def test_one_name_has_one_set_of_hyper_parameters_whatever_the_task(name):
    """Names, types and defaults; packages may allow other ranges, in another order."""
    first, *others = [
        {p.name: (p.kind.base, p.default) for p in registry.parameters(plugin)}
        for plugin in registry.find("loss", name)
    ]
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("float", Kind(float)),
        ("int | None", Kind(int, optional=True)),
        ("Annotated[float, '[0, 1)']", Kind(float, interval="[0, 1)")),
        ("Annotated[int, '[1, inf)'] | None", Kind(int, True, "[1, inf)")),
        ("Literal['a', 'b']", Kind(choices=("a", "b"))),
        ("tuple[float, ...]", Kind(list, item=Kind(float))),
        ("list[list[float]] | None", Kind(list, True, item=Kind(list, item=Kind(float)))),
        ("Tensor", Kind(tensor=True)),
        ("Tensor | None", Kind(optional=True, tensor=True)),
        (
            "Literal['a'] | float | tuple[float, ...] | None",
            Kind(list, True, choices=("a",), item=Kind(float), number=Kind(float)),
        ),
        ("File", Kind(str, place="file")),
        ("contract.Folder", Kind(str, place="folder")),
        ("list[File] | None", Kind(list, True, item=Kind(str, place="file"))),
        ("Optional[Annotated[str, 'file']]", Kind(str, True, place="file")),
        ("dict[str, File]", Kind(place="file")),
        ("File | Folder", Kind(place="file or folder")),
    ],
)
def test_an_annotation_is_read_as_a_kind(annotation, kind):
    assert schema.kind_of(ast.parse(annotation, mode="eval").body) == kind


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Kind(float), 1, 1.0),
        (Kind(float, interval="(0, 1]"), 1, 1.0),
        (Kind(list, item=Kind(int)), (1, 2), [1, 2]),
        (Kind(int, optional=True), None, None),
        (Kind(choices=(0, 1)), 1, 1),
        (Kind(choices=(0.5, 1.0)), 1, 1.0),
    ],
)
def test_a_valid_value_gets_its_type(kind, value, result):
    assert convert(kind, value, "key") == result
    assert type(convert(kind, value, "key")) is type(result)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind(float), "1"),
        (Kind(float), True),
        (Kind(float), float("inf")),
        (Kind(float, interval="(0, 1]"), 0),
        (Kind(int), 1.0),
        (Kind(bool), 1),
        (Kind(choices=("a",)), "b"),
        (Kind(list, item=Kind(int)), 3),
        (Kind(list, item=Kind(int)), [1, "x"]),
        (Kind(int), None),
        (Kind(choices=(0, 1)), True),
        (Kind(float), 10**400),
        (Kind(int, interval="[1, inf)"), 10**4000),
        (Kind(), -(10**30)),
    ],
)
def test_an_invalid_value_is_refused_by_its_key(kind, value):
    with pytest.raises(UserError, match="key"):
        convert(kind, value, "key")


def test_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="Did you mean gamma"):
        validate([Parameter("gamma", Kind(float), 2.0)], {"gama": 1.0}, "loss")


# What a signature asks for that nobody gives, and what is said of it.
FAULTS = [
    ("loss", "(p, t, extra, /)", "must be given (p, t, extra) by position, and a loss is called"),
    ("loss", "(p, /)", "called with (prediction, target)"),
    ("loss", "(p, t, /, *, cost: float)", "the task multiclass does not supply cost; give it a de"),
    ("loss", "(p, t, /, *, num_class: int)", "Did you mean num_classes?"),
    ("loss", "(p, t, gamma=1.0, /)", "gamma is positional only; put the '/' before it"),
    ("loss", "(*all)", "its signature has *all; name each hyper-parameter"),
    ("model", "(shape, /)", "called with (input_shape, output_shape)"),
    ("dataset", "()", "called with (rng)"),
    ("corruption", "(x, y, rng, /, *, cost: float)", "no task supplies cost"),
]


def test_a_module_s_keywords_need_no_star(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text("class Net:\n    def __init__(self, input_shape, output_shape, width=8): ...\n")
    width, *_ = registry.parameters(registry.Plugin("model", "Net", str(file), "Net"))
    assert (width.name, width.default) == ("width", 8)


@pytest.mark.parametrize("way", ["text", "object"])
@pytest.mark.parametrize(("kind", "signature", "said"), FAULTS, ids=[s for _, s, _ in FAULTS])
def test_what_a_call_cannot_give_is_reported_with_the_package(kind, signature, said, way, tmp_path):
    """Both from the text, before anything starts, and from the object that only an import shows."""
    file = tmp_path / "mine.py"
    decorator = "import functools\n@functools.cache\n" if way == "object" else ""
    file.write_text(f"{decorator}def mine{signature}: ...\n")
    task = "multiclass" if kind == "loss" else None
    plugin = registry.Plugin(kind, "mine", str(file), "mine", "my-losses", "1.2", task)
    with pytest.raises(UserError) as caught:
        registry.parameters(plugin)
    assert str(caught.value).startswith(f"{kind}=mine of my-losses 1.2 ({file}:mine) cannot be us")
    assert said in str(caught.value)
    assert said in registry.fault_in(plugin)


FILE = Kind(str, place="file")


def test_a_loss_that_is_a_class_is_made_with_keywords_only(tmp_path):
    file = tmp_path / "mine.py"
    text = "class Mine:\n    def __init__(self, {}*, num_classes: int, a: float = 1.0): ...\n"
    plugin = registry.Plugin("loss", "mine", str(file), "Mine")
    file.write_text(text.format(""))
    assert registry.facts(plugin) == ("num_classes",)
    file.write_text(text.format("size, "))
    registry.refresh()
    with pytest.raises(UserError, match="a loss that is a class is called with \\(\\)"):
        registry.facts(plugin)


@pytest.mark.parametrize(
    ("head", "annotation", "kind"),
    [
        ("from lossbench.contract import File", "File", FILE),
        ("from lossbench.contract import File as F", "F", FILE),
        ("from lossbench.contract import File as F", "'list[F]'", Kind(list, item=FILE)),
        ("import lossbench.contract as c", "c.Folder | None", Kind(str, True, place="folder")),
        ("Rate = Annotated[float, '[0, 1]']", "Rate", Kind(float, interval="[0, 1]")),
        ("from types_ import Table", "Table", FILE),
        ("from types_ import Nobody", "Nobody", Kind()),
    ],
)  # fmt: skip
def test_what_an_annotation_stands_for_is_looked_up(head, annotation, kind, tmp_path):
    (tmp_path / "types_.py").write_text("from lossbench.contract import File\nTable: object = File")
    file = tmp_path / "mine.py"
    file.write_text(f"{head}\ndef mine(rng, /, *, a: {annotation}): ...\n")
    (parameter,) = registry.parameters(registry.Plugin("dataset", "mine", str(file), "mine"))
    assert parameter.kind == kind
