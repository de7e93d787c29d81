"""Floor 1: packages. Which files one has, what its manifest says, its snapshot, where it came from.

What a run of a known package touches (`source`, `snapshot`, `index`, `resources`, `machine`) imports the
standard library alone; manifests (`manifest`, `schema`, `testcases`) may be heavy. Nothing here imports
or runs the code of a package.
"""
