"""The pool: data once, in their own type; replicas hold rows, corruptions what they change."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from support import Whole

from lossbench.contract import Corrupted, Sample, UserError
from lossbench.datasets import Samples, corruptions, prepare, synthetic
from lossbench.datasets.examples import Examples

N = 100
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 3, 4, 4)).astype(np.uint8)
HALVES = np.arange(N) % 2


def images(rng, **fields) -> Sample:
    return Sample(IMAGES, HALVES, "binary", **fields)


def made(recipe, corruption=corruptions.none, seeds=(0, 1, 2)):
    return prepare(recipe, lambda task: corruption, seeds)


def test_images_stay_uint8_and_are_not_copied_whatever_the_seeds():
    splits = made(images, seeds=range(5))
    assert splits.inputs.data_ptr() == IMAGES.ctypes.data
    assert splits.inputs.dtype == torch.uint8
    assert splits.of([0, 0, 3]).inputs is splits.inputs


@pytest.mark.parametrize(
    "corruption", [corruptions.none, partial(corruptions.label_noise, num_classes=2)]
)
def test_a_replica_takes_few_bytes_of_an_example(corruption):
    """Rows of four bytes, and a target of eight at most where a corruption changed some."""
    splits = made(images, corruption)
    unit = 2 * 8 * IMAGES[0].size
    assert splits.bytes_of_replica - unit <= 12 * N


def test_data_that_are_drawn_for_each_seed_are_disjoint_rows_and_data_that_are_not_are_drawn_once():
    calls = []

    def counted(rng):
        calls.append(1)
        return synthetic.moons(rng, samples=N) if len(calls) < 4 else images(rng)

    anew = made(counted)
    rows = torch.cat([anew.train.rows, anew.validation.rows, anew.test.rows], 1)
    assert sorted(rows.flatten().tolist()) == list(range(3 * N))
    same = made(counted, seeds=range(4))
    assert len(calls) == 4
    assert len(same.inputs) == N


def test_samples_are_drawn_once_for_several_preparations():
    samples = Samples(lambda rng: images(rng))
    first, second = (prepare(samples, lambda task: corruptions.none, [seed]) for seed in (0, 1))
    assert first.inputs.data_ptr() == second.inputs.data_ptr()


SHAPES = [(3001, 1), (3001, 2), (5003, 7), (700, 3, 16, 16), (40_000, 32), (997, 1, 1, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_measures_are_bit_for_bit_those_of_all_examples_at_once(shape):
    """However many blocks they are made in."""
    inputs = 3 + 5 * np.random.default_rng(1).standard_normal(shape)
    sample = Sample(inputs, np.arange(len(inputs)) % 2, "binary")
    splits = made(lambda rng: sample, seeds=[0])
    rows = splits.train.rows[0].numpy()
    mean, scale, *_ = splits.unit
    assert np.array_equal(mean[0], inputs[rows].mean(0))
    assert np.array_equal(scale[0], inputs[rows].std(0))
    expected = ((inputs - inputs[rows].mean(0)) / inputs[rows].std(0)).astype(np.float32)
    assert np.array_equal(splits.first("test")[0][0], expected[splits.test.rows[0].numpy()])


@pytest.mark.parametrize("kind", ["uint16", "uint32", "uint64", "int8", "float16", "bool", ">f4"])
def test_inputs_of_any_type_of_numbers_train(kind):
    inputs = (np.arange(N * 2).reshape(N, 2) % 7).astype(kind)
    sample = Sample(inputs, HALVES, "binary", standardise=False)
    whole = Whole(made(lambda rng: sample, seeds=[0]))
    rows = made(lambda rng: sample, seeds=[0]).train.rows[0].numpy()
    assert np.array_equal(whole.train[0][0], inputs[rows].astype(np.float32))


def changing(x, y, rng) -> Corrupted:
    """Of the last half three inputs are moved, the targets are as they were."""
    rows = np.arange(len(x) // 2, len(x))
    moved = rng.permutation(len(rows))[:3]
    return Corrupted(rows=rows, moved=moved, inputs=x[rows[moved]] + 100)


def test_changed_inputs_are_kept_for_the_rows_that_a_corruption_changed():
    """With their own targets; alone, among others and repeated."""
    pure, splits = made(images), made(images, changing)
    assert len(splits.changed.inputs) == 3 * 3
    clean, dirty = (part.first("train") for part in (pure, splits))
    moved = (dirty[0] - clean[0][:, 30:]).flatten(2)
    assert (moved.abs().amax(-1) > 99).sum(1).tolist() == [3, 3, 3]
    assert torch.equal(dirty[1], clean[1][:, 30:])
    alone = made(images, changing, [2]).first("train")
    for one, many, again in zip(alone, dirty, splits.of([2, 0]).first("train"), strict=True):
        assert torch.equal(one[0], many[2])
        assert torch.equal(one[0], again[0])


def test_a_corruption_sees_standardised_inputs_as_rows_or_as_a_whole():
    seen = []

    def looking(x, y, rng) -> Corrupted:
        seen.append((np.asarray(x), x[3:5], x[np.array([3, 4])], x.mean(), x.shape, len(x)))
        return Corrupted()

    train = made(images, looking, [0]).first("train")[0][0]
    whole, cut, chosen, mean, shape, count = seen[0]
    assert np.array_equal(whole.astype(np.float32), train)
    assert np.array_equal(cut, whole[3:5])
    assert np.array_equal(chosen, whole[3:5])
    assert np.array_equal(mean, whole.mean(0))
    assert (shape, count) == (whole.shape, len(whole))


def test_repeated_rows_oversample():
    def twice(x, y, rng) -> Corrupted:
        return Corrupted(rows=np.repeat(np.arange(len(x)), 2))

    train, clean = made(images, twice).first("train"), made(images).first("train")
    assert torch.equal(train[0][:, ::2], clean[0])
    assert torch.equal(train[1][:, 1::2], clean[1])


def test_seeds_of_different_types_are_refused():
    def odd(rng):
        kind = np.float32 if rng.random() < 0.5 else np.float64
        return Sample(rng.standard_normal((N, 2)).astype(kind), HALVES, "binary")

    with pytest.raises(UserError, match=r"float.*float.*give one type"):
        made(odd, seeds=range(8))


def test_a_mapped_file_is_trained_on_without_being_read_as_a_whole(tmp_path):
    """Its batches are those of the same data in memory."""
    np.save(tmp_path / "x.npy", IMAGES)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    splits = made(lambda rng: Sample(mapped, HALVES, "binary"))
    assert splits.mapped
    assert not made(images).mapped
    order = [torch.arange(60).expand(3, -1)[:, a : a + 7] for a in range(0, 60, 7)]
    for one, other in zip(
        splits.batches("train", order), made(images).batches("train", order), strict=True
    ):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_examples_are_made_block_by_block():
    x = np.random.default_rng(2).standard_normal((5000, 300))
    blocks = list(Examples(x, np.arange(5000)).blocks())
    assert len(blocks) > 2
    assert np.array_equal(np.concatenate(blocks), x)
