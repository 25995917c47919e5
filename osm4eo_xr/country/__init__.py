"""One country run from one file."""
