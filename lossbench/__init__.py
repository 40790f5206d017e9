"""Which loss should I train with? A benchmark of loss functions with honest statistics."""

import os

# Without it a matrix product's last bits depend on where in memory a replica happens to lie.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
