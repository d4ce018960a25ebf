"""The trusted side: it starts the isolated processes, reads what they say as data, and judges."""
