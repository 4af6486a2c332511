"""What both entry points stand on: the home, the embedded server, the stand-in, the worker process, the connection."""

import logging

# Facts are for a program that has configured logging. In one that has not, the CLI, the standard library would print
# warnings among what a person reads; what a person should know is raised or told to `on_event`.
logging.getLogger(__name__).addHandler(logging.NullHandler())
