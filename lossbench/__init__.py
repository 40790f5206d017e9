"""Which loss should I train with? A benchmark of loss functions with honest statistics."""

import os
from typing import Any

# Without it a matrix product's last bits depend on where in memory a replica happens to lie.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__all__ = ["compare", "get_loss", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch takes seconds."""
    if name in ("get_loss", "run"):
        from lossbench import api

        return getattr(api, name)
    if name == "compare":
        from lossbench.comparison import compare

        return compare
    if name == "__version__":
        from importlib.metadata import version

        return version("lossbench")
    raise AttributeError(f"module 'lossbench' has no attribute {name!r}")
