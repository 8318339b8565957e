"""What the project claims about speed, measured. Every benchmark prints JSON lines and is run by `make bench-*`."""
