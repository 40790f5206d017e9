"""What scikit-learn and Hugging Face keep on the disk: read in its layout, without a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn
from PIL import Image

from lossbench.contract import Sample, UserError
from lossbench.datasets import corruptions, libraries, prepare

# The answers of openml.org that scikit-learn tests itself with.
ANSWERS = Path(sklearn.__file__).parent / "datasets" / "tests" / "data" / "openml"
PLACES = {"jd": "data", "jdf": "data/features", "jdq": "data/qualities"}


def cache(root: Path, number: int) -> None:
    """Put a table where scikit-learn does when it has downloaded it."""
    answers = ANSWERS / f"id_{number}"
    below = root / "openml" / "openml.org"
    for kind, place in PLACES.items():
        file = below / "api" / "v1" / "json" / place / f"{number}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(answers / f"api-v1-{kind}-{number}.json.gz", file)
    (table,) = answers.glob("data-v1-dl-*.arff.gz")
    described = below / "api" / "v1" / "json" / "data" / f"{number}.gz"
    content = json.loads(gzip.decompress(described.read_bytes()))
    about = content["data_set_description"]
    about["md5_checksum"] = hashlib.md5(gzip.decompress(table.read_bytes())).hexdigest()
    described.write_bytes(gzip.compress(json.dumps(content).encode()))  # some tables are cut
    file = below / f"{about['url'].partition('openml.org/')[2]}.gz"
    file.parent.mkdir(parents=True)
    shutil.copy(table, file)


def read_openml(root: Path, number: int, **options) -> Sample:
    libraries._read_openml.cache_clear()
    return libraries.openml(np.random.default_rng(0), id=number, root=str(root), **options)


def test_a_table_of_openml_is_read_from_the_cache(tmp_path):
    """Iris: its target is the one that OpenML says; name, version and licence are noted."""
    cache(tmp_path, 61)
    sample = read_openml(tmp_path, 61)
    assert (sample.task, sample.inputs.shape) == ("multiclass", (150, 4))
    assert "openml 61: iris, version 1; licence: Public" in "".join(sample.notes)
    other = read_openml(tmp_path, 61, target="sepallength", drop=("petalwidth",))
    assert (other.task, other.inputs.shape) == ("regression", (150, 2 + 3))


def test_a_table_that_is_not_in_the_cache_is_refused_and_not_downloaded(tmp_path):
    """In a line, with what to call; what is cached in part is not completed."""
    words = r"dataset.id=61: it is not in scikit-learn's cache, .*dataset.download=true, or call "
    with pytest.raises(UserError, match=words) as error:
        read_openml(tmp_path, 61)
    assert "fetch_openml(data_id=61)" in str(error.value)
    assert "\n" not in str(error.value)
    cache(tmp_path, 61)
    next(tmp_path.rglob("iris.arff*")).unlink()
    with pytest.raises(UserError, match=words):
        read_openml(tmp_path, 61)


def test_a_table_of_openml_with_gaps_is_read_like_a_csv(tmp_path):
    """Penguins: what has gaps is named, and filled if that is asked for."""
    cache(tmp_path, 42585)
    with pytest.raises(UserError, match=r"openml 42585: missing values in .*sex \(10\), 10 of 344"):
        read_openml(tmp_path, 42585)
    sample = read_openml(tmp_path, 42585, missing="impute", drop=("island",))
    assert sample.task == "multiclass"
    assert np.isnan(sample.inputs).any()
    assert "licence: CC0" in "".join(sample.notes)
    prepare(lambda rng: sample, lambda task: corruptions.none, [0])


# --- Hugging Face ---------------------------------------------------------------------------------


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def pictures(count: int) -> pa.Table:
    """As `datasets` keeps images: their bytes and paths, and the names of classes in the schema."""
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"]}}
    rows = [{"bytes": picture(i), "path": None} for i in range(count)]
    return pa.table(
        {"image": rows, "label": [i % 2 for i in range(count)]}
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def save_to_disk(folder: Path, table: pa.Table, shards: int = 2) -> None:
    """As Dataset.save_to_disk does: Arrow streams, and JSON next to them."""
    folder.mkdir(parents=True)
    size = -(-len(table) // shards)
    names = [f"data-{i:05}-of-{shards:05}.arrow" for i in range(shards)]
    for i, name in enumerate(names):
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table.slice(i * size, size))
    info = {"citation": "", "license": "mit", "features": {}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": n} for n in names]})
    )


def read_hub(path: Path, **options) -> Sample:
    return libraries.hub(np.random.default_rng(0), path=str(path), **options)


def test_images_that_datasets_saved_are_read(tmp_path):
    """Splits by their folders, bytes as they are, in the order of the shards."""
    for part, count in (("train", 20), ("test", 10)):
        save_to_disk(tmp_path / part, pictures(count))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    sample = read_hub(tmp_path)
    assert (sample.inputs.shape, sample.inputs.dtype) == ((30, 3, 5, 4), np.uint8)
    assert sample.split.tolist() == [2] * 10 + [0] * 20
    with Image.open(io.BytesIO(picture(3))) as third:
        assert np.array_equal(sample.inputs[13], np.asarray(third).transpose(2, 0, 1))
    assert sample.task == "binary"
    assert "licence: mit" in "".join(sample.notes)
    assert read_hub(tmp_path, size=6).inputs.shape == (30, 3, 6, 6)
    prepare(lambda rng: sample, lambda task: corruptions.none, [0])


def test_one_split_is_split_anew(tmp_path):
    save_to_disk(tmp_path / "mine", pictures(20))
    assert read_hub(tmp_path / "mine").split is None


def test_parquet_of_the_hub_is_read(tmp_path):
    """A table: the parts by the files' names, text and numbers like those of a csv."""
    (tmp_path / "data").mkdir()
    for part, count in (("train", 30), ("validation", 12), ("test", 10)):
        size = np.arange(count) * 1.5
        table = pd.DataFrame({"size": size, "colour": ["red", "blue"] * (count // 2)})
        table["label"] = np.arange(count) % 3
        table.to_parquet(tmp_path / "data" / f"{part}-00000-of-00001.parquet")
    sample = read_hub(tmp_path)
    assert (sample.task, sample.inputs.shape) == ("multiclass", (52, 1 + 2))
    assert np.bincount(sample.split).tolist() == [30, 12, 10]


def test_lists_of_numbers_are_the_input(tmp_path):
    """Embeddings, with text next to them that is not looked at."""
    rows = [[float(i), i / 2] for i in range(20)]
    table = pd.DataFrame({"emb": rows, "text": [f"t{i}" for i in range(20)], "y": [0.5, 1.5] * 10})
    table.to_parquet(tmp_path / "all.parquet")
    sample = read_hub(tmp_path / "all.parquet", target="y")
    assert sample.inputs.tolist() == rows
    assert sample.task == "regression"


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        ({}, {}, "no .arrow, .parquet file is in it"),
        ({"a.arrow": b"text"}, {}, r"a\.arrow: it cannot be read"),
        ({"a.parquet": b"text"}, {}, r"a\.parquet: it cannot be read"),
        ({"a.parquet": {"x": [1] * 20}}, {}, "dataset.target=label: no column.*x"),
        ({"a.parquet": {"x": [1] * 20, "label": [0, 1] * 10}}, {"inputs": "z"}, "inputs=z"),
        (
            {"train.parquet": {"x": [1] * 20}, "other.parquet": {"x": [1] * 20}},
            {"target": "x"},
            "name each file or its folder train",
        ),
        (
            {"a.parquet": {"x": [[1]] * 20, "z": [[1]] * 20, "label": [0, 1] * 10}},
            {},
            "x, z may be the input; give dataset.inputs",
        ),
        (
            {"a.parquet": {"x": [[1], [1, 2]] * 10, "label": [0, 1] * 10}},
            {},
            "lists of the input differ in length",
        ),
        (
            {"a.parquet": {"x": [{"bytes": None, "path": "1.png"}] * 20, "label": [0, 1] * 10}},
            {},
            "20 images are paths",
        ),
        (
            {"a.parquet": {"x": [{"bytes": b"no", "path": ""}] * 20, "label": [0, 1] * 10}},
            {},
            "image 1: it cannot be read as an image",
        ),
    ],
)
def test_a_folder_that_is_none_of_datasets_is_refused(tmp_path, files, options, words):
    """In a line that names it."""
    for name, content in files.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            pa.parquet.write_table(pa.table(content), tmp_path / name)
    with pytest.raises(UserError, match=words) as error:
        read_hub(tmp_path, **options)
    assert "\n" not in str(error.value)
