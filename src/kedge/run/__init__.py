"""Floor 5: one task from inputs to result. Describe, validate, prepare, execute, collect, record.

There is one way to run a function and it is here; the faces call it and nothing below knows of it.
"""
