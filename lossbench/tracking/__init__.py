"""MLflow, the window on the results. Only this package knows it; its import takes seconds."""
