"""From other frameworks to this kit."""
