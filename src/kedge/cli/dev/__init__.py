"""`kedge serve-dev`: a function that serves, begun anew whenever its files change.

Each version is imported in a process of its own, and what one of them does to its interpreter is gone with it.
The command's process imports nothing of the function; it looks at files and says who serves.
"""
