"""The settings that everyone's numbers depend on, and that no plugin may change for others."""

from __future__ import annotations

import contextlib
import locale
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, cast

# What libraries note for themselves when they are imported. It is left as it is.
HOUSEKEEPING = {
    "KMP_DUPLICATE_LIB_OK",
    "KMP_INIT_AT_FORK",
    "MKL_CBWR",
    "PYTORCH_NVML_BASED_CUDA_CHECK",
    "TORCHINDUCTOR_CACHE_DIR",
    "_MLFLOW_TELEMETRY_SESSION_ID",
}


# Attributes of torch that choose how a result is computed; those that others follow come first.
SWITCHES = (
    "backends.fp32_precision",
    "backends.cudnn.fp32_precision",
    "backends.mkldnn.fp32_precision",
    "backends.cuda.matmul.fp32_precision",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "backends.cudnn.conv.fp32_precision",
    "backends.cudnn.rnn.fp32_precision",
    "backends.cudnn.enabled",
    "backends.cudnn.benchmark",
    "backends.cudnn.deterministic",
    "backends.mkldnn.matmul.fp32_precision",
    "backends.mkldnn.conv.fp32_precision",
    "backends.mkldnn.enabled",
    "backends.mkldnn.deterministic",
    "utils.deterministic.fill_uninitialized_memory",
)


MOST_PASSES = 3  # some settings of torch move others with them


@dataclass(frozen=True)
class Setting:
    """How one is read and put back; of a random generator it is the state."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    generator: bool = False


class Snapshot:
    """All of them as they are now, for those of Python, numpy and torch that is imported."""

    def __init__(self) -> None:
        self._values = [(setting, setting.read()) for setting in _settings()]

    def changed(self, *, generators: bool) -> list[str]:
        """The names of those that are not as they were: generators, or all the others."""
        return [s.name for s, _ in self._differing() if s.generator == generators]

    def restore(self) -> list[str]:
        """Put back what was changed, and name it."""
        differing = changed = self._differing()
        for _ in range(MOST_PASSES if differing else 0):
            for setting, value in differing:
                setting.write(value)
            differing = self._differing()
        return [setting.name for setting, _ in changed]

    def _differing(self) -> list[tuple[Setting, Any]]:
        return [(setting, value) for setting, value in self._values if setting.read() != value]


@contextlib.contextmanager
def undisturbed() -> Iterator[list[str]]:
    """Settings are as they were when the block is left; the list then names what was changed."""
    before = Snapshot()
    changed: list[str] = []
    try:
        yield changed
    finally:
        changed += before.restore()


def _settings() -> Iterator[Setting]:
    yield Setting("Python's random numbers", random.getstate, random.setstate, generator=True)
    yield Setting("the environment", _environment, _set_environment)
    yield Setting("the working directory", os.getcwd, os.chdir)
    all_of_it = partial(locale.setlocale, locale.LC_ALL)  # reads where nothing is given
    yield Setting("the locale", all_of_it, all_of_it)
    yield Setting("warnings that are errors", _error_filters, _set_error_filters)
    if "numpy" in sys.modules:
        yield from _settings_of_numpy()
    if "torch" in sys.modules:
        yield from _settings_of_torch()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in HOUSEKEEPING}


def _set_environment(before: dict[str, str]) -> None:
    for name in _environment().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _error_filters() -> list[Any]:
    return [each for each in warnings.filters if each[0] == "error"]


def _set_error_filters(before: list[Any]) -> None:
    others = [each for each in warnings.filters if each[0] != "error"]
    warnings.filters[:] = [*before, *others]  # type: ignore[index]


def _settings_of_numpy() -> Iterator[Setting]:
    import numpy as np

    def state() -> tuple[Any, ...]:
        name, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
        return name, keys.tobytes(), *rest

    def set_state(before: tuple[Any, ...]) -> None:
        name, keys, *rest = before
        np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))

    yield Setting("numpy's random numbers", state, set_state, generator=True)
    yield Setting("numpy's error handling", np.geterr, lambda before: np.seterr(**before))


def _settings_of_torch() -> Iterator[Setting]:
    import torch

    def state() -> bytes:
        return torch.get_rng_state().numpy().tobytes()

    def set_state(before: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(before), dtype=torch.uint8))

    yield Setting("torch's random numbers", state, set_state, generator=True)
    if torch.cuda.is_initialized():
        yield Setting(
            "the GPUs' random numbers",
            lambda: [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()],
            lambda before: torch.cuda.set_rng_state_all(
                [torch.frombuffer(bytearray(each), dtype=torch.uint8) for each in before]
            ),
            generator=True,
        )
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("torch's default device", torch.get_default_device, _set_default_device)
    yield Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled)
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting(
        "torch's deterministic mode",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    )
    yield Setting(
        "torch's anomaly mode",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda before: torch.autograd.set_detect_anomaly(*before),
    )
    yield Setting("torch's treatment of tiny numbers", _flushes_denormal, torch.set_flush_denormal)
    yield from map(_switch, SWITCHES)
    yield Setting(
        "the precision of matrix products", _matmul_precision, torch.set_float32_matmul_precision
    )


def _set_default_device(before: Any) -> None:
    import torch

    torch.set_default_device(None if before.type == "cpu" else before)  # once set, calls are slower


def _flushes_denormal() -> bool:
    import torch

    smallest = torch.tensor([1e-38], dtype=torch.float32, device="cpu")
    return (smallest * 1e-2).item() == 0


def _matmul_precision() -> str:
    import torch

    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set for one backend only, which a switch sees
        return "mixed"


def _switch(name: str) -> Setting:
    """A setting of torch that is an attribute."""
    import torch

    owner, _, attribute = name.rpartition(".")
    owner_now = partial(attrgetter(owner), torch)
    return Setting(
        f"torch.{name}",
        lambda: getattr(owner_now(), attribute),
        lambda before: setattr(owner_now(), attribute, before),
    )
