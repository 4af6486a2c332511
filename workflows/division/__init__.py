"""What dividing a task is made of: plans and their checks, who starts when, and putting the pieces together."""
