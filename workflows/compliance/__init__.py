"""What the compliance review is made of: domains, transactions, rows, and what a narrative may say."""
