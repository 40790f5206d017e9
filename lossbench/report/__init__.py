"""Results -> figures and pages."""
