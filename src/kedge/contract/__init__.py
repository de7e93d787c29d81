"""Floor 1: the boundary between Kedge and the code it runs: files, variables, signals, and nothing else.

`runner.py` is the program on the inside of a Python environment. It stands alone and imports nothing of
Kedge; everything else here is the outside, and believes nothing that it finds in a workspace.
"""
