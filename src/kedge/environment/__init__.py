"""Floor 2: what code stands on: interpreters, locks and Python environments, found again by digest.

uv does the resolving and the installing; this room says for whom, under which lock, and where it is
kept. Nothing of packages' functions, runs or executors may come in. Importing a module of this room is
cheap: uv, TOML and processes are reached only inside the functions that need them.
"""
