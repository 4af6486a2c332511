"""Hypothesis here: pytest-timeout limits each test, so a slow machine must not fail a single example."""

from hypothesis import settings

settings.register_profile("breakwater", deadline=None)
settings.load_profile("breakwater")
