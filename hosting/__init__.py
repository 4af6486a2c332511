"""What both entry points stand on: the home, the embedded server, the stand-in, the worker process, the connection."""
