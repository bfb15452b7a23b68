"""Three networks' grids become one net; who answers where. Pure computation."""
