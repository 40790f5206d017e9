"""Without the library there is nothing to collect but tests, which say why they are skipped."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("monai") else ["lossbench_monai/*"]
