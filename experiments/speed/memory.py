"""Peak memory of training 20, 200 and 2,000 seeds of the small model, each in a fresh process.

python experiments/speed/memory.py
"""

from __future__ import annotations

import resource
import subprocess
import sys

COUNTS = (20, 200, 2000)


def train(seeds: int) -> float:
    """Peak resident memory in MiB after training so many seeds for two epochs."""
    from lossbench import training
    from lossbench.configuration.experiments import configurations

    words = ["dataset=blobs", "dataset.features=20", "dataset.samples=1065", f"seeds={seeds}"]
    config = configurations([*words, "trainer.max_epochs=2", "trainer.device=cpu"])[0][0]
    training.train(config, list(config.seeds))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:]:
        print(f"{int(sys.argv[1]):5} seeds: peak {train(int(sys.argv[1])):.0f} MiB", flush=True)
    else:
        for count in COUNTS:
            subprocess.run([sys.executable, __file__, str(count)], check=True)
