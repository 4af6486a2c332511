"""The commands of `starter.py`, a module for those that belong together."""
