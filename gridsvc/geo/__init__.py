"""Places as numbers: datums, projections, division and grid codes, partition geometry, point to grid. Pure computation."""
