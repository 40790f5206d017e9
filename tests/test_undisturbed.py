"""What a plugin's import changes for everyone is put back, and reported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lossbench import registry
from lossbench.undisturbed import SWITCHES, Snapshot, undisturbed

CHANGES = {
    "Python's random numbers": "import random; random.random()",
    "numpy's random numbers": "import numpy; numpy.random.rand()",
    "torch's random numbers": "torch.rand(1)",
    "the environment": "import os; os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':16:8'",
    "the working directory": "import os; os.chdir('/')",
    "the locale": "import locale; locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
    "warnings that are errors": "import warnings; warnings.simplefilter('error')",
    "numpy's error handling": "import numpy; numpy.seterr(all='raise')",
    "torch's default dtype": "torch.set_default_dtype(torch.float64)",
    "torch's default device": "torch.set_default_device('meta')",
    "torch's gradient mode": "torch.set_grad_enabled(False)",
    "torch's number of threads": "torch.set_num_threads(3)",
    "torch's deterministic mode": "torch.use_deterministic_algorithms(True, warn_only=True)",
    "torch's anomaly mode": "torch.autograd.set_detect_anomaly(True)",
    "torch's treatment of tiny numbers": "torch.set_flush_denormal(True)",
    "the precision of matrix products": "torch.set_float32_matmul_precision('medium')",
    **{
        f"torch.{name}": f"torch.{name} = "
        + (f"'ieee' if torch.{name} == 'tf32' else 'tf32'" if "32" in name else f"not torch.{name}")
        for name in SWITCHES
    },
}


def test_every_setting_is_tried_here():
    assert {setting.name for setting, _ in Snapshot()._values} == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_that_an_import_changes_is_put_back_and_reported(name, tmp_path):
    before = Snapshot()
    file = tmp_path / "mine.py"
    file.write_text(f"import torch\n{CHANGES[name]}\ndef mine(): ...\n")
    plugin = registry.Plugin("task", name, str(file), "mine")
    registry.load(plugin)
    changed = registry.meddled.pop(f"task={name} of {plugin.origin}")
    assert not before.restore()
    assert name in changed
    assert len(changed) == 1 or "precision" in name


def test_what_libraries_note_for_themselves_is_left_to_them():
    with undisturbed() as changed:
        os.environ["KMP_INIT_AT_FORK"] = "FALSE"
    assert not changed
    assert os.environ.pop("KMP_INIT_AT_FORK") == "FALSE"


@pytest.mark.slow
def test_a_plugin_may_use_the_public_functions(tmp_path):
    """Also where it is what imports Lightning, which draws random numbers when it is imported."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from lossbench import compare, get_loss, run\n"
        "mine = get_loss('dice', task='segmentation')\n"
    )
    script = (
        "from lossbench import registry\n"
        f"registry.load(registry.Plugin('loss', 'mine', {str(file)!r}, 'mine'))\n"
        "print(registry.meddled)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "{}", done.stderr
