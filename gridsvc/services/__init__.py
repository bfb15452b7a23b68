"""Use cases, one module per subject; each owns its transaction and returns plain results."""
