"""A realistic town from a seed, or the missing parts of a real one. Pure computation; writing files is formats' work."""
