"""Who works on which grid: roster rules and assignment. Pure computation; time is an argument."""
