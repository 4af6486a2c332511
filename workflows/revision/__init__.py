"""What judging and revising a piece of work is made of: verdicts, the best version, and when to stop."""
