"""The 15-minute service circle: walking network, travel times, isochrones, coverage. Pure computation."""
