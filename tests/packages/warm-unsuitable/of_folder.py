"""As libraries do that keep something in a user's home."""

import os

FOLDER = os.path.expanduser("~/.cache/of_folder")
os.makedirs(FOLDER)


def value() -> str:
    with open(f"{FOLDER}/file", "w") as file:
        file.write("written")
    return open(f"{FOLDER}/file").read()
