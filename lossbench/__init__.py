"""Which loss should I train with? A benchmark of loss functions with honest statistics."""

import os
from typing import Any

# Without it a matrix product's last bits depend on where in memory a replica happens to lie.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__all__ = ["compare", "get_loss", "get_models", "run"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch takes seconds.

    Lightning draws from Python's random numbers when it is imported; a plugin that uses these
    functions is not to blame for that.
    """
    if name in __all__:
        from lossbench.undisturbed import undisturbed

        with undisturbed():
            from lossbench import api, comparison

        return getattr(comparison if name == "compare" else api, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("lossbench")
    raise AttributeError(f"module 'lossbench' has no attribute {name!r}")
