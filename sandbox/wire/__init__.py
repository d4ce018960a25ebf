"""What the trainer's side and the locked-down side both speak: typed values over a socket, and limits."""
