"""The documentation names pages that exist and commands that this version takes."""

from __future__ import annotations

import importlib
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest
import yaml
from support import called, put

from lossbench.cli import COMMANDS
from lossbench.paths import experiment_files

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WRITTEN = sorted(p for p in DOCS.rglob("*.md") if not {"generated", "_build"} & {*p.parts})
READ = [*WRITTEN, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLACEHOLDER = re.compile(
    r"(?<![A-Za-z])(FOLDER|NAME|KEY|RUN|DIR|FILE|LOSS|SHELL|KIND)(?![A-Za-z])|…|\["
)


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """The pages that are made from what is installed and committed."""
    folder = tmp_path_factory.mktemp("docs") / "generated"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        importlib.import_module("generate").write_pages(folder)
    return folder


def test_every_page_is_in_a_table_of_contents_and_every_entry_is_a_page(generated):
    named = {"index"}
    for page in WRITTEN:
        for entry in "\n".join(TOCTREE.findall(page.read_text())).split("\n"):
            if entry and not entry.startswith(":"):
                entry = entry.rpartition("<")[2].rstrip(">")
                named.add(str((page.parent / entry).relative_to(DOCS)))
    made = {f"generated/{p.relative_to(generated)}" for p in generated.rglob("*.md")}
    shown = {str(p.relative_to(DOCS)) for p in WRITTEN} | {p for p in made if "/parts/" not in p}
    pages = {page.removesuffix(".md") for page in shown}
    assert {page for page in pages if not any(fnmatch(page, entry) for entry in named)} == set()
    assert {entry for entry in named if not any(fnmatch(page, entry) for page in pages)} == set()


def test_what_is_generated_shows_every_experiment_and_the_losses_of_every_task(generated):
    gallery = (generated / "gallery.md").read_text()
    shapes = (generated / "parts/shapes.md").read_text()
    for table in ROOT.glob("experiments/*/table.csv"):
        assert f"experiments/{table.parent.name}.md" in gallery
    for task in ("binary", "regression", "embedding", "segmentation", "sequence"):
        assert f"catalogue/index.html#{task}" in shapes
    assert "label_smoothing" in (generated / "parts/quickstart.md").read_text()


def test_studies_link_to_each_other_by_their_pages(generated):
    pages = list((generated / "experiments").glob("*.md"))
    assert pages
    for page in pages:
        assert re.findall(r"\]\([^)]*experiments/[^)]*README[^)]*\)", page.read_text()) == [], page
        for target in re.findall(r"\]\(([\w-]+\.md)\)", page.read_text()):
            assert (page.parent / target).is_file(), (page, target)


def test_every_column_of_a_table_is_explained():
    explained = (DOCS / "programs.md").read_text()
    for table in ("quickstart", "imbalance"):
        header = (ROOT / "experiments" / table / "table.csv").read_text().partition("\n")[0]
        columns = [name for name in header.split(",") if "." not in name and name != "optimizer"]
        assert [c for c in columns if f"`{c}`" not in explained] == []


def test_every_column_has_a_heading():
    pages = [*READ, *(ROOT / "experiments").glob("*/README.md")]
    heading = re.compile(r"^(\|.*\|)\n\|[ :|-]+\|$", re.MULTILINE)
    tables = [(page.name, row) for page in pages for row in heading.findall(page.read_text())]
    assert tables
    assert [each for each in tables if re.search(r"\|\s*\|", each[1])] == []


def commands_of(page: Path) -> list[list[str]]:
    """The words of each line of a code block that starts with lossbench, without what follows #."""
    text = page.read_text().replace("\\\n", "")
    lines = [line for kind, block in BLOCK.findall(text) if not kind for line in block.split("\n")]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("lossbench ")]
    return [line[1:] for line in words]


def test_every_command_shown_is_one_that_this_version_takes(here, capfd, monkeypatch):
    known = {command.name: command for command in COMMANDS}
    tried = set()
    put(here, {"my.csv": "alcohol,ash,label\n" + "1,2,a\n3,4,b\n5,6,a\n7,9,b\n" * 20})
    refused = []
    for page in READ:
        files = {
            block.partition("\n")[0].removeprefix("# "): block
            for kind, block in BLOCK.findall(page.read_text())
            if kind == "python" and re.match(r"# \w+\.py\n", block)
        }
        put(here, files)
        for words in commands_of(page):
            name, rest = words[0], words[1:]
            if shlex.join(words) in tried:
                continue
            tried.add(shlex.join(words))
            try:
                known[name].make_context(name, list(rest))
            except click.ClickException as error:
                refused.append((page.name, words, error.format_message()))
            of = re.search(r"experiment=(\w+)", " ".join(words))
            written = of and f"experiments/{of[1]}/" in page.read_text()
            if of and not written and of[1] not in experiment_files():
                refused.append((page.name, words, "no such experiment"))
            whole = name == "run" and not of and not PLACEHOLDER.search(" ".join(words))
            if whole and (code := called(*words, "--cfg")):
                refused.append((page.name, words, code, capfd.readouterr().err))
    assert refused == []


def test_the_job_for_kubernetes_is_a_command_and_its_ray_is_that_of_the_image(here):
    job = next(yaml.safe_load_all((DOCS / "kubernetes" / "rayjob.yaml").read_text()))
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[0] == "lossbench"
    assert called(*words[1:], "--cfg") == 0
    version = job["spec"]["rayClusterSpec"]["rayVersion"]
    image = (DOCS / "kubernetes" / "Dockerfile").read_text()
    assert f'"ray[default]=={version}"' in image
