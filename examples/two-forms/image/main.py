"""What the managed runner does for a `python` package, by hand: main.py FUNCTION."""

import json
import os
import sys
import traceback

import column


def main():
    os.chdir(os.environ["KEDGE_WORKSPACE"])
    with open("in/data.json") as file:
        inputs = json.load(file)
    try:
        outputs = getattr(column, sys.argv[1])(**inputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        frames = error.__traceback__.tb_next  # the author's, without this one
        said = {
            "error": str(error),
            "type": type(error).__name__,
            "traceback": "".join(traceback.format_exception(type(error), error, frames)),
        }
        with open("out/_error.json", "w") as file:
            json.dump(said, file)
        sys.exit(1)
    with open("out/data.json", "w") as file:
        json.dump(outputs, file)


main()
