"""Arrays and images of one's own: read in their true layout, refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.contract import Sample, UserError
from lossbench.datasets import arrays, corruptions, folders, prepare

ROW = np.random.default_rng(0)
GREY = ROW.integers(0, 256, (40, 6, 5), dtype=np.uint8)
COLOUR = ROW.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


def read_arrays(path: Path, **options) -> Sample:
    return arrays.arrays(np.random.default_rng(0), path=str(path), **options)


def saved(folder: Path, **content) -> Path:
    np.savez(folder / "data.npz", **content)
    return folder / "data.npz"


def notes_of(sample: Sample) -> str:
    return "\n".join(sample.notes)


# --- arrays --------------------------------------------------------------------------------------

LAYOUTS = [
    # arrays -> shape of the inputs, task, first targets
    ({"x": GREY / 7, "y": LABELS}, (40, 6, 5), "multiclass", [0, 1, 2, 3]),
    ({"x": GREY, "y": LABELS % 2}, (40, 1, 6, 5), "binary", [0, 1, 0, 1]),
    ({"images": COLOUR, "labels": LABELS[:, None] + 7}, (40, 3, 6, 5), "multiclass", [0, 1, 2, 3]),
    ({"X": COLOUR.transpose(0, 3, 1, 2), "Y": LABELS}, (40, 3, 6, 5), "multiclass", [0, 1, 2, 3]),
    ({"data": GREY[:, 0], "target": LABELS / 2}, (40, 5), "regression", [0, 0.5, 1, 1.5]),
    ({"x": GREY[:, 0], "y": np.array(["b", "a"])[LABELS % 2]}, (40, 5), "binary", [1, 0, 1, 0]),
    ({"x": COLOUR, "masks": (GREY > 99) * np.uint8(255)}, (40, 3, 6, 5), "segmentation", None),
    ({"x": GREY[:, 0], "y": GREY[:, 1] % 2}, (40, 5), "multilabel", None),
]


@pytest.mark.parametrize(("content", "shape", "task", "first"), LAYOUTS)
def test_arrays_pose_their_task(tmp_path, content, shape, task, first):
    """By the names, shapes and types that people use; images keep their bytes."""
    sample = read_arrays(saved(tmp_path, **content))
    assert sample.inputs.shape == shape
    assert sample.inputs.dtype == next(iter(content.values())).dtype
    assert sample.task == task
    assert sample.standardise == ("channels" if len(shape) == 4 else True)
    if first:
        assert sample.targets[:4].tolist() == first
    if task == "segmentation":
        assert np.array_equal(sample.targets, GREY > 99)
    prepare(lambda rng: sample, lambda task: corruptions.none, [0, 1])


@pytest.mark.parametrize(
    "words",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_given_splits_are_read_by_their_names(tmp_path, words):
    """Those of Keras and of MedMNIST."""
    content = dict(zip(words, (COLOUR[:30], LABELS[:30], COLOUR[30:], LABELS[30:]), strict=True))
    sample = read_arrays(saved(tmp_path, **content))
    assert sample.split.tolist() == [0] * 30 + [2] * 10
    assert np.array_equal(sample.inputs, COLOUR.transpose(0, 3, 1, 2))
    assert "the test split has 2 rows of the class 0" in notes_of(sample)


def test_a_pair_of_files_stays_on_the_disk(tmp_path):
    """Inputs are mapped, not loaded, colours moved to the front all the same."""
    np.save(tmp_path / "x.npy", COLOUR)
    np.save(tmp_path / "y.npy", LABELS)
    sample = read_arrays(tmp_path / "x.npy", target_path=str(tmp_path / "y.npy"))
    assert isinstance(sample.inputs, np.memmap)
    assert sample.inputs.shape == (40, 3, 6, 5)
    assert "4 whole numbers as targets are read as classes" in notes_of(sample)


def test_other_names_and_another_task_may_be_given(tmp_path):
    path = saved(tmp_path, emb=GREY[:, 0] / 9, who=LABELS)
    sample = read_arrays(path, inputs="emb", target="who", task="embedding")
    assert (sample.task, sample.inputs.shape) == ("embedding", (40, 5))


@pytest.mark.parametrize("names", [["a", "b", "c", "d"], ["c", "d", "a", "b"]])
def test_identities_of_a_test_split_may_have_any_names(tmp_path, names):
    """Those to learn from are numbered first."""
    who = np.repeat(names, 10)
    content = {"x_train": GREY[:20], "y_train": who[:20], "x_test": GREY[20:], "y_test": who[20:]}
    sample = read_arrays(saved(tmp_path, **content), task="embedding")
    assert sample.targets.tolist() == np.repeat([0, 1, 2, 3], 10).tolist()
    prepare(lambda rng: sample, lambda task: corruptions.none, [0])


REFUSED = [
    ({"a": GREY, "b": LABELS}, {}, ["holds a, b", "x_train", "dataset.inputs"]),
    ({"x_test": GREY, "y_test": LABELS}, {}, ["holds x_test, y_test"]),
    ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, {}, ["holds", "y_test"]),
    ({"x": GREY, "y": LABELS[:9]}, {}, ["40 inputs", "(9,)"]),
    ({"x": GREY, "y": LABELS}, {"inputs": "z"}, ["dataset.inputs=z", "no array", "x, y"]),
    ({"x": np.array(["a"] * 40)[:, None], "y": LABELS}, {}, ["inputs are <U1"]),
    ({"x": GREY, "y": LABELS * 0}, {}, ["one value only"]),
    ({"x": GREY, "y": LABELS[:, None] * [1, 2]}, {}, ["int64", "(40, 2)", "dataset.task"]),
    ({"x": COLOUR[..., :2], "y": LABELS}, {}, ["first or last", "dataset.channels"]),
    ({"x": GREY, "y": np.array([{}] * 40)}, {}, ["Python objects"]),
    ({"x": GREY, "y": np.array(["a", "b"] * 20)}, {"task": "regression"}, ["<U1", "numbers"]),
]


@pytest.mark.parametrize(("content", "options", "words"), REFUSED)
def test_arrays_that_cannot_be_used_are_refused(tmp_path, content, options, words):
    """In a line that names the file or the key, what is there and what to do."""
    path = saved(tmp_path, **content)
    with pytest.raises(UserError) as error:
        read_arrays(path, **options)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("data.npz", b"PK\x03\x04 cut", "cannot be read"),
        ("data.npy", b"\x93NUMPY\x01\x00", "cannot be read"),
        ("data.npz", b"", "cannot be read"),
        ("data.npz", None, "dataset.path=.*No such file.*give a .npz or .npy"),
    ],
)
def test_a_file_that_holds_no_arrays_is_refused(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as error:
        read_arrays(tmp_path / name)
    assert "\n" not in str(error.value)


# --- folders of images ---------------------------------------------------------------------------


def draw(file: Path, mode: str = "RGB", shape: tuple[int, int] = (6, 5)) -> None:
    """An image of any mode, of other pixels for each name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(str(file).encode())).integers(0, 256, (*shape, 3))
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(file)


def read_folder(path: Path, **options) -> Sample:
    return folders.folder(np.random.default_rng(0), path=str(path), **options)


def test_a_folder_for_each_class(tmp_path):
    """In the order of names, whatever the format; grey images have one channel."""
    for i in range(8):
        draw(tmp_path / "dog" / f"{i}.jpg")
        draw(tmp_path / "cat" / f"{i}.png")
    (tmp_path / "cat" / "readme.txt").write_text("not an image")
    sample = read_folder(tmp_path)
    assert (sample.inputs.shape, sample.inputs.dtype) == ((16, 3, 6, 5), np.uint8)
    assert sample.targets.tolist() == [0] * 8 + [1] * 8
    with Image.open(tmp_path / "cat" / "0.png") as first:
        assert np.array_equal(sample.inputs[0], np.asarray(first).transpose(2, 0, 1))
    assert "class 1, which recall and f1 count, is 'dog'" in notes_of(sample)
    assert read_folder(tmp_path, colour=False, size=4).inputs.shape == (16, 1, 4, 4)


def test_folders_of_splits(tmp_path):
    for part, count in (("train", 6), ("test", 2)):
        for name in "abc":
            for i in range(count):
                draw(tmp_path / part / name / f"{i}.png", "L")
    sample = read_folder(tmp_path)
    assert sample.inputs.shape == (24, 1, 6, 5)
    assert sorted(sample.split.tolist()) == [0] * 18 + [2] * 6
    assert sample.task == "multiclass"


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB"])
def test_images_and_masks_are_paired_by_their_names(tmp_path, mode):
    """A mask is whatever is not 0, also where it is scaled."""
    for i in range(12):
        draw(tmp_path / "images" / f"{i}.jpg", shape=(8, 8))
        mask = np.zeros((8, 8), np.uint8)
        mask[: i % 8] = 255 if mode != "P" else 1
        (tmp_path / "masks").mkdir(exist_ok=True)
        picture = Image.fromarray(mask)
        if mode == "P":
            picture.putpalette([0, 0, 0, 200, 0, 0])
        (picture if mode == "P" else picture.convert(mode)).save(tmp_path / "masks" / f"{i}.png")
    sample = read_folder(tmp_path)
    order = sorted(map(str, range(12)))
    assert (sample.task, sample.targets.dtype) == ("segmentation", np.uint8)
    assert sample.targets.sum((1, 2)).tolist() == [8 * (int(i) % 8) for i in order]
    assert read_folder(tmp_path, size=4).targets.shape == (12, 4, 4)
    prepare(lambda rng: sample, lambda task: corruptions.none, [0])


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 2], "semantic_segmentation"),
        ([0, 1, 2, 255], "semantic_segmentation"),
        ([0, 1, 255], "segmentation"),
    ],
)
def test_masks_of_classes_keep_them_and_what_is_not_to_count(tmp_path, values, task):
    for i in range(12):
        draw(tmp_path / "images" / f"{i}.png", shape=(8, 8))
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = np.resize(np.array(values, np.uint8), (8, 8))
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    sample = read_folder(tmp_path)
    assert sample.task == task
    assert np.unique(sample.targets).tolist() == values
    prepare(lambda rng: sample, lambda task: corruptions.none, [0])


FOLDER_FAULTS = [
    ({"images/1.png": "RGB", "masks/1.png": "RGB"}, {}, ["masks hold", "0, 1, 2", "255"]),
    ({}, {}, ["no image", ".png"]),
    ({"a/1.png": "RGB"}, {}, ["the one folder a", "two classes"]),
    ({"1.png": "RGB", "a/1.png": "RGB"}, {}, ["1.png", "a folder of each class"]),
    ({"a/b/1.png": "RGB", "a/2.png": "RGB"}, {}, ["1.png", "a folder of each class"]),
    ({"images/1.png": "L", "images/2.png": "L", "masks/1.png": "L"}, {}, ["2.png", "in masks"]),
    ({"images/1.png": "L", "images/1.jpg": "L", "masks/1.png": "L"}, {}, ["one name"]),
    ({"train/a/1.png": "L", "train/b/1.png": "L", "test/c/1.png": "L"}, {}, ["'c'", "in train"]),
    ({"test/a/1.png": "L", "test/b/1.png": "L"}, {}, ["nothing to learn from", "train"]),
    ({"a/1.png": "L", "b/1.png": "I;16"}, {}, ["b/1.png", "8 bits"]),
    ({"a/1.png": "L", "b/1.png": (3, 3)}, {}, ["2 sizes", "6 x 5", "3 x 3", "dataset.size"]),
    ({"a/1.png": "L", "b/1.png": b"GIF89a"}, {}, ["b/1.png", "cannot be read as an image"]),
    ({"a/1.png": "L", "b/1.png": "cut"}, {}, ["b/1.png", "cannot be read as an image"]),
]


@pytest.mark.parametrize(("files", "options", "words"), FOLDER_FAULTS)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, files, options, words):
    """In a line that names the file or folder, and what to do."""
    for name, what in files.items():
        if isinstance(what, bytes):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(what)
        elif what == "cut":
            draw(tmp_path / name)
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:60])
        else:
            draw(tmp_path / name, *([what] if isinstance(what, str) else ["L", what]))
    with pytest.raises(UserError) as error:
        read_folder(tmp_path, **options)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
