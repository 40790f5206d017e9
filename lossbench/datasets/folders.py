"""Anyone's images: a folder of each class, or images and masks of the same names."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image

from lossbench.contract import Folder, Sample, UserError
from lossbench.datasets.columns import listed
from lossbench.datasets.splitting import TRAIN
from lossbench.datasets.suspects import SPLITS, hash_rows, note_rare, note_repeated
from lossbench.paths import expanded

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
GREY = ("1", "L", "LA")
DEEP = ("I", "F", "I;16", "I;16B", "I;16L")  # modes of more than 8 bits a channel
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
IMAGES, MASKS = "images", "masks"


@dataclass(frozen=True)
class Found:
    """An image, the name of its class or the file of its mask, and the part that it is given."""

    image: Path
    target: str | Path
    part: int | None


def folder(
    rng: np.random.Generator,
    /,
    *,
    path: Folder,
    size: Annotated[int, "[4, 4096]"] | None = None,
    colour: bool | None = None,
) -> Sample:
    """A folder of images: a folder for each class, or `images` and `masks` of the same names.

    FOLDER/cat/1.png, FOLDER/dog/2.jpg: classes in the order of their names. FOLDER/images/1.png
    with FOLDER/masks/1.png: a segmentation, whose masks are 0 and one other value, or classes
    0, 1, 2, … (of a palette its indices) and 255 where a pixel is not to count. Either may stand in
    FOLDER/train and FOLDER/test (and validation), which are then the splits. Images are kept as (N,
    1 or 3, H, W) of uint8 and standardised by channel.

    Args:
        path: the folder.
        size: the pixels of a side that every image is scaled to; null takes images of one size.
        colour: whether images have three channels; null: if any of them is not grey.
    """
    root = expanded(path)
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"dataset.path={path}: no image ({listed(SUFFIXES)}) is in it.")
    versions = tuple(file.stat().st_mtime_ns for file in files)
    return _read_sample(root, tuple(files), versions, size, colour)


@functools.lru_cache(maxsize=1)
def _read_sample(
    root: Path,
    files: tuple[Path, ...],
    versions: tuple[int, ...],
    size: int | None,
    colour: bool | None,
) -> Sample:
    """The same for every seed, so read once for each version of the files."""
    found = _sort_files(root, files)
    inputs = read_images([each.image for each in found], size, colour)
    parts = None if found[0].part is None else np.array([each.part for each in found])
    if isinstance(found[0].target, Path):
        masks = [Path(each.target) for each in found]
        kind, targets = _read_masks(root, read_images(masks, size, False, nearest=True)[:, 0])
        if targets.shape[1:] != inputs.shape[2:]:
            raise UserError(
                f"{root}: images have {_measure(inputs.shape[2:])} pixels, masks "
                f"{_measure(targets.shape[1:])}; give the same, or dataset.size."
            )
        classes: list[str] = []
    else:
        names = np.array([str(each.target) for each in found])
        levels, targets = np.unique(names, return_inverse=True)
        kind, classes = "binary" if len(levels) == 2 else "multiclass", levels.tolist()
        _refuse_classes(root, classes, names, parts)
        targets = targets.astype(np.int64)
    notes = note_rare(targets, classes, parts)
    notes += note_repeated(hash_rows(inputs, targets), parts)
    if kind == "binary":
        notes.append(f"class 1, which recall and f1 count, is {classes[1]!r}.")
    shown = tuple(f"{root.name}: {note}" for note in notes)
    return Sample(inputs, targets, kind, standardise="channels", notes=shown, split=parts)


def _read_masks(root: Path, masks: np.ndarray) -> tuple[str, np.ndarray]:
    """The task that grey values pose, and its targets; UserError where they are no classes."""
    values = np.unique(masks).tolist()
    if len(values) <= 2 and 0 in values:
        return "segmentation", (masks > 0).astype(np.uint8)
    classes = [value for value in values if value != 255]
    if len(classes) < 2 or classes != list(range(len(classes))):
        raise UserError(
            f"{root / MASKS}: masks hold the grey values {listed(values, 8)}; give 0 and one "
            "other, or classes 0, 1, 2, … and 255 where a pixel is not to count."
        )
    if len(classes) == 2:
        return "segmentation", masks
    return "semantic_segmentation", masks.astype(np.int64)


def _sort_files(root: Path, files: Iterable[Path]) -> list[Found]:
    """Each image with its target and part, as the folders have them; UserError for others."""
    named = {file: file.relative_to(root).parts for file in files}
    given = {parts[0].lower() for parts in named.values()} <= set(SPLITS)
    placed = {file: parts[given:] for file, parts in named.items()}
    for file, parts in placed.items():
        if len(parts) != 2:
            raise UserError(
                f"{file}: expected a folder of each class, or images and masks, in {root} or in "
                "its folders train and test."
            )
    part = {file: SPLITS[parts[0].lower()] if given else None for file, parts in named.items()}
    if given and TRAIN not in part.values():
        raise UserError(f"{root}: there is nothing to learn from: no image is in {root / 'train'}.")
    if {parts[0] for parts in placed.values()} == {IMAGES, MASKS}:
        return _pair(placed, part)
    return [Found(file, parts[0], part[file]) for file, parts in placed.items()]


def _pair(placed: dict[Path, tuple[str, ...]], part: dict[Path, int | None]) -> list[Found]:
    """Each image with the mask of its name, whatever their suffixes."""
    kinds: dict[str, dict[tuple[Path, str], Path]] = {IMAGES: {}, MASKS: {}}
    for file, (kind, _) in placed.items():
        key = (file.parent.parent, file.stem)
        if other := kinds[kind].get(key):
            raise UserError(
                f"{file} and {other.name} have one name; give each image one of its own."
            )
        kinds[kind][key] = file
    for here, there in ((IMAGES, MASKS), (MASKS, IMAGES)):
        if alone := [file for key, file in kinds[here].items() if key not in kinds[there]]:
            raise UserError(
                f"{alone[0]}: there is nothing of this name in {there} ({len(alone)} such); add or "
                "remove it."
            )
    return [Found(file, kinds[MASKS][key], part[file]) for key, file in kinds[IMAGES].items()]


def _refuse_classes(
    root: Path, classes: Sequence[str], names: np.ndarray, parts: np.ndarray | None
) -> None:
    if len(classes) < 2:
        raise UserError(f"{root}: all images are in the one folder {classes[0]}; give two classes.")
    learnt = names if parts is None else names[parts == TRAIN]
    if unknown := sorted(set(classes) - set(learnt)):
        raise UserError(
            f"{root}: {listed(map(repr, unknown))} has no image in train; add some, or remove it."
        )


def read_images(
    files: Sequence[Path | bytes], size: int | None, colour: bool | None, *, nearest: bool = False
) -> np.ndarray:
    """(N, 1 or 3, H, W) of uint8, from files or their contents; UserError names what is none."""
    shapes: dict[tuple[int, int], str] = {}
    for row, file in enumerate(files):
        with _opened(file, row) as image:
            shapes.setdefault(image.size, _name(file, row))
            if image.mode in DEEP:
                raise UserError(
                    f"{_name(file, row)}: more than 8 bits a channel; convert it, or give "
                    "dataset=arrays."
                )
            if colour is None and image.mode not in GREY:
                colour = True
    if len(shapes) > 1 and size is None:
        (one, first), (other, second), *_ = shapes.items()
        raise UserError(
            f"images of {len(shapes)} sizes: {first} has {_measure(one[::-1])} pixels, {second} "
            f"{_measure(other[::-1])}; dataset.size=64 scales all to 64 x 64."
        )
    width, height = (size, size) if size else next(iter(shapes))
    pixels = np.empty((len(files), 3 if colour else 1, height, width), np.uint8)
    for row, file in enumerate(files):
        with _opened(file, row) as image:
            shown = (
                image if nearest and image.mode == "P" else image.convert("RGB" if colour else "L")
            )
            if size:
                how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
                shown = shown.resize((size, size), how)
            pixels[row] = np.moveaxis(np.atleast_3d(np.asarray(shown)), 2, 0)
    return pixels


def _name(file: Path | bytes, row: int) -> str:
    return str(file) if isinstance(file, Path) else f"image {row + 1}"


@contextlib.contextmanager
def _opened(file: Path | bytes, row: int) -> Iterator[Image.Image]:
    """An image that is open; UserError where it cannot be read."""
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            yield image
    except BROKEN as error:
        reason = re.sub(r" '.*?'| <.*?>", "", str(error))
        raise UserError(f"{_name(file, row)}: it cannot be read as an image: {reason}.") from error


def _measure(shape: Sequence[int]) -> str:
    """Height and width in words."""
    return " x ".join(map(str, shape))
