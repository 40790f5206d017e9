"""Nothing here is a test: test_check.py reads these files."""

collect_ignore_glob = ["*.py"]
