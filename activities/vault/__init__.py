"""The way of a run's values out of a process: sealed if there is a key, put aside if they are large."""
