"""What somebody meant who gave a name that is not there: other names for a thing, nearest ones."""

from __future__ import annotations

import difflib
import functools
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from lossbench.paths import expanded, packaged

SHOWN = 12  # names in one message
NEAR = 0.6  # of 1, which is the same word
QUOTED_KEY = re.compile(r"""["']([^"']*)["']\s*:""")
# What people call it: our names, those that are allowed where it was given are meant.
SYNONYMS = {
    # losses
    "bce categoricalcrossentropy ce crossent entropy logloss maxent softmax xent": "cross_entropy",
    "bcewithlogits binarycrossentropy sigmoid sparsecategoricalcrossentropy": "cross_entropy",
    "negativeloglikelihood nll": "cross_entropy gaussian_nll log_loss",
    "gaussnll gaussiannegativeloglikelihood heteroscedastic": "gaussian_nll",
    "l2 leastsquares meansquarederror mse quadratic": "squared_error",
    "l1 lad mae meanabsoluteerror": "absolute_error mean_absolute_error",
    "rmse rootmeansquare": "root_mean_squared_error",
    "msle rmsle meansquaredlogarithmicerror": "squared_log_error",
    "pinball tiltedabsolute check": "quantile",
    "kl kld kldiv relativeentropy": "kl_divergence kl",
    "multimargin multiclasshinge svm": "hinge crammer_singer weston_watkins",
    "iou jaccard softdice": "iou dice tversky",
    "simclr": "nt_xent",
    "clip infonce mnrl multiplenegatives": "info_nce multiple_negatives_ranking",
    "tripletmargin": "triplet",
    "supervisedcontrastive": "sup_con",
    "smoothing ls labelsmooth": "label_smoothing",
    "gce lq": "generalized_cross_entropy",
    "sce sl": "symmetric_cross_entropy",
    "asl asymmetricloss": "asymmetric",
    "effectivenumber cbloss": "class_balanced",
    "bitempered": "bi_tempered_logistic",
    "vae beta betavae": "elbo",
    "aucm aucmargin auc": "pairwise_squared pairwise_squared_hinge auroc",
    "bradleyterry ranknet preference rlhf": "dpo pairwise_logistic",
    "marginbasedlabelsmoothing": "mbls",
    # metrics
    "acc": "accuracy",
    "ap aupr auprc prauc prcurve": "average_precision",
    "aucroc rocauc": "auroc",
    "calibration expectedcalibrationerror": "ece",
    "f1 f1score fscore": "f1 macro_f1",
    "r2score rsquared": "r2",
    # models, datasets, corruptions, optimizers
    "ann dnn fullyconnected network neuralnetwork nn": "mlp",
    "cnn convnet resnet lenet": "conv",
    "lstm rnn": "gru",
    "tcn": "temporal_conv",
    "logisticregression linearregression logreg perceptron": "linear",
    "dataframe excel own parquet table tabular tsv": "csv",
    "iris": "wine digits",
    "mnist": "digits digit_images",
    "boston california housing": "diabetes",
    "imbalanced longtailed": "imbalance",
    "noise noisy": "label_noise",
    "outlier": "outliers",
    # keys and values
    "cuda nvidia": "gpu",
    "seed randomstate": "seeds",
    "epoch epochs numepochs": "max_epochs",
    "batch bs": "batch_size",
    "learningrate stepsize": "lr",
    "jobs njobs numworkers processes": "workers",
    "data": "dataset",
    "architecture net": "model",
    "criterion objective": "loss",
    "optim": "optimizer",
    "amp bf16 bfloat16 fp16 half mixed": "bf16-mixed",
    "32 float float32 fp32 single": "32-true",
    "64 double float64 fp64": "64-true",
}
MEANT = {word: names.split() for words, names in SYNONYMS.items() for word in words.split()}


def meant(word: object, allowed: Iterable[object]) -> list[str]:
    """The allowed names that a word could stand for, the likeliest first; often none.

    >>> meant("MSELoss", ["huber", "squared_error"]), meant("gama", ["gamma"])
    (['squared_error'], ['gamma'])
    """
    names = sorted(map(str, allowed))
    plain = _plain(str(word))
    same = [name for name in names if _plain(name) == plain]
    called = [name for name in MEANT.get(plain, ()) if name in names]
    return same or called or difflib.get_close_matches(str(word), names, 1, NEAR)


def choices(word: object, allowed: Iterable[object], place: str = "") -> str:
    """What could have been meant, written with its place, and what is allowed, in one line."""
    names = sorted(map(str, allowed))
    likely = meant(word, names)
    question = f"Did you mean {' or '.join(place + name for name in likely)}? " if likely else ""
    return question + allow(names)


def allow(names: Sequence[str]) -> str:
    """What is allowed, the first of many."""
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"Allowed: {listed or 'nothing'}."


def _plain(word: str) -> str:
    """A name without its form: MSELoss and mse_loss are mse, torch.nn.MSELoss too."""
    letters = re.sub(r"[^a-z0-9]", "", re.split(r"[.:/]", word)[-1].lower())
    return letters.removesuffix("loss") or letters


# ---- code in files and in packages ---------------------------------------------------------------
def file_meant(kind: str, name: str) -> str:
    """What to write for a plugin in a file that is there, where a name looks like one."""
    match = re.fullmatch(r"(.+?)(?:\.py)?[.:/]([A-Za-z_]\w*)", name)
    if match and match[2] != "py" and (file := _file_called(match[1])):
        return f"Did you mean {kind}={file}:{match[2]}?"
    if file := _file_called(name.removesuffix(".py")):
        return f"Name what is meant of the file: {kind}={file}:NAME."
    return ""


def _file_called(stem: str) -> str | None:
    """A file of Python by its name without suffix, written with dots or not."""
    candidates = (f"{stem}.py", f"{stem.replace('.', '/')}.py")
    return next((file for file in candidates if os.path.isfile(expanded(file))), None)


def package_meant(group: str, word: str, installed: Iterable[str], *, exactly: bool) -> str:
    """The package that has what is meant, of those that come with lossbench but are not installed.

    group is the beginning of the entry points' groups, such as "lossbench.losses".
    """
    likely = [word] if exactly else MEANT.get(_plain(word), [])
    for package, (folder, groups) in _packages().items():
        provided = [names for key, names in groups.items() if f"{key}.".startswith(f"{group}.")]
        for name in likely if package not in installed else ():
            if any(name in names for names in provided):
                place = folder if (folder / "README.md").exists() else package
                return f"{name} is in the package {package}: pip install {place}."
    return ""


@functools.cache
def _packages() -> dict[str, tuple[Path, dict[str, dict[str, str]]]]:
    """The packages in `plugins/`: folder and entry points, by name."""
    packages = {}
    for file in sorted(packaged("plugins").glob("*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        packages[project["name"]] = (file.parent, project.get("entry-points", {}))
    return packages


def as_grammar_has_it(key: str, value: str) -> str:
    """What to write in place of a word that the grammar of overrides does not take.

    >>> as_grammar_has_it("loss.terms", "{'poly': 1, 'focal': {'name': a}}")
    'keys in braces stand without quotes: "loss.terms={poly: 1, focal: {name: a}}".'
    """
    if re.search(r"[^\w.@/+~-]", key):
        return f"{key} is no key: its words are of letters, digits, - and _, with dots between."
    quoted = QUOTED_KEY.findall(value)
    if odd := next((each for each in quoted if not re.fullmatch(r"[\w-]+", each)), ""):
        return f"a key in braces is a word without quotes; a name may be {{WORD: {{name: {odd}}}}}."
    if not quoted:
        return f"this value must be in quotes of its own: \"{key}='{value}'\"."
    unquoted = QUOTED_KEY.sub(r"\1:", value)
    quote = "'" if '"' in unquoted else '"'
    return f"keys in braces stand without quotes: {quote}{key}={unquoted}{quote}."
