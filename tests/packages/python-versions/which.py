import sys


def version() -> str:
    return "{}.{}".format(*sys.version_info[:2])
