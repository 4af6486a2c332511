"""The places where workers keep what they share: one address, a SQLite file or a Valkey server behind it.

What is kept there, and in which words, is the business of `circuit/` and `journal/`.
"""
