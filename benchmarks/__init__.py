"""How fast we are, and how fast others are: `make bench`, `make bench-peers`."""
