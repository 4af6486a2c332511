"""Runs as they went, recorded on a real server, and how to see what today's code makes of them."""
