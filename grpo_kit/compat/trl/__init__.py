"""TRL 1.16: its scripts and configurations as recipes. TRL is not imported, and no script is executed."""
