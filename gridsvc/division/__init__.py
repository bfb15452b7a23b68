"""A community becomes unit grids and governance grids. Pure computation on metric geometry; deterministic."""
