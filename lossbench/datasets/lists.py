"""Lists of items with grades: made by a formula, and of films that people rated."""

from __future__ import annotations

import csv
import functools
from importlib.metadata import distribution
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri

from lossbench.contract import Sample, UserError
from lossbench.datasets.wheels import table_in
from lossbench.tasks.list_ranking import NO_ITEM, ndcg_10

FILMS = "recbole/dataset_example/ml-100k/ml-100k"
LENGTH = 20  # of a list of films: everyone in the set rated so many


def graded_lists(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 500,
    features: Annotated[int, "[1, inf)"] = 8,
    longest: Annotated[int, "[2, inf)"] = 20,
    shortest: Annotated[int, "[2, inf)"] = 8,
    grades: Annotated[int, "[2, 10]"] = 5,
    noise: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """Lists of x ~ N(0, I) whose grade is the number of cuts below x . w + noise, |w| = 1.

    Half of the items reach grade 1, half of these grade 2, and so on; noise is its standard
    deviation. Lengths are as likely from the shortest to the longest, which all are padded to. What
    sorting by x . w is worth is said with the result.
    """
    if shortest > longest:
        raise UserError(f"dataset.shortest={shortest}: expected at most dataset.longest={longest}.")
    inputs = rng.standard_normal((samples, longest, features))
    weights = rng.standard_normal(features)
    truth = inputs @ (weights / np.linalg.norm(weights))
    cuts = ndtri(1 - 0.5 ** np.arange(1, grades)) * np.sqrt(1 + noise**2)
    drawn = truth + noise * rng.standard_normal(truth.shape)
    targets = (drawn[..., None] > cuts).sum(-1).astype(np.float64)
    absent = np.arange(longest) >= rng.integers(shortest, longest + 1, (samples, 1))
    inputs[absent], targets[absent] = 0.0, NO_ITEM
    best = float(ndcg_10(torch.from_numpy(truth), torch.from_numpy(targets)))
    note = f"graded_lists: the order by what made the grades has an ndcg_10 of about {best:.2f}."
    return Sample(inputs, targets, "list_ranking", standardise=False, notes=(note,))


def movielens(rng: np.random.Generator, /) -> Sample:
    """4,604 lists of 20 films that one of 943 people rated after each other: stars less one.

    By genres, decade, the person's age in decades and sex; a person's lists are in one split. It
    comes inside the package recbole (pip install --no-deps recbole). Licence: that of MovieLens
    100K (Harper & Konstan 2015), research without redistribution.
    """
    inputs, targets, people = _lists_of_films()
    return Sample(inputs, targets, "list_ranking", standardise=False, fresh=False, groups=people)


@functools.cache
def _lists_of_films() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features and grades of lists, and whose they are."""
    ratings = table_in("recbole", f"{FILMS}.inter", "movielens", "\t")
    people = table_in("recbole", f"{FILMS}.user", "movielens", "\t").set_index("user_id:token")
    place = str(distribution("recbole").locate_file(f"{FILMS}.item"))
    films = pd.read_csv(place, sep="\t", quoting=csv.QUOTE_NONE).set_index("item_id:token")
    genres = films["class:token_seq"].str.get_dummies(" ")
    year = pd.to_numeric(films["release_year:token"], errors="coerce").fillna(1990)
    ratings = ratings.sort_values(["user_id:token", "timestamp:float", "item_id:token"])
    by_person = ratings.groupby("user_id:token")
    whole = by_person.cumcount() < by_person["item_id:token"].transform("size") // LENGTH * LENGTH
    ratings = ratings[whole]
    user, film = ratings["user_id:token"], ratings["item_id:token"]
    inputs = np.column_stack(
        [
            genres.loc[film],
            (year.loc[film] - 1990) / 10,
            (people.loc[user, "age:token"] - 30) / 10,
            people.loc[user, "gender:token"] == "F",
        ]
    ).astype(np.float64)
    grades = ratings["rating:float"].to_numpy(np.float64) - 1
    lists = (-1, LENGTH)
    return inputs.reshape(*lists, inputs.shape[1]), grades.reshape(lists), user.to_numpy()[::LENGTH]
