"""Answers already paid for: written before a call completes, looked up before one is made."""
