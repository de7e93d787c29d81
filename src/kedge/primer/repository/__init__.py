"""What the primer writes into a repository: the proto file, entry scripts, `primer.json`.

Nothing of this is imported when an entry script runs; the command line calls it.
"""
