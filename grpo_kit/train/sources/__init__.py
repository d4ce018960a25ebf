"""Where the groups of a step come from."""
