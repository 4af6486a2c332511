"""What Breakwater is measured beside: usual ways to meet an API that is down, and frameworks for agents on Temporal.

The frameworks are installed in an environment of their own, without Breakwater's dependencies. What their workers load
is therefore this file, benchmarks.worker_process and the standard library: keep them so.
"""
