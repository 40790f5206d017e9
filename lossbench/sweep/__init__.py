"""Many runs: planned, tried, shared out, trained in worker processes, delivered to MLflow."""
