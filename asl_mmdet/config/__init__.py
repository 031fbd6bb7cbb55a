"""What a config says: blocks of its tree, and the task that it trains."""
