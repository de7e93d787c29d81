"""What a command has its supervisor do. Nothing here prints, reads words or knows of a terminal.

A module a command, each with a function `work(observer, cancel, **given)` that is given and gives plain
data. What only a face needs (click, rich) may not come in: the supervisor would have to load it.
"""
