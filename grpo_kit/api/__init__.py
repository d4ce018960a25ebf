"""The kit as a library: what the commands do, returning data. Users import `grpo_kit` itself, whose attributes are here."""
