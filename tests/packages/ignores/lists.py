import os


def files() -> list:
    """The package's own files as a run sees them."""
    found = []
    for folder, folders, names in os.walk("."):
        if folder == ".":
            folders[:] = [name for name in folders if name not in {"in", "out", "scratch"}]
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [os.path.relpath(os.path.join(folder, name), ".") for name in names]
    return sorted(found)
