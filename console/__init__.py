"""What `starter.py` is made of: options from a pipeline's Input, a view of a run, and how both are shown."""
