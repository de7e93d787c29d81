"""The primer's second half: what a repository needs besides its environment."""
