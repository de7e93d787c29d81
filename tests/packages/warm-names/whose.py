"""Imports modules that are the package's own, and have names of the standard library's."""

NAMES = (
    "base64 bisect ctypes fnmatch functools gc hashlib hmac ipaddress ntpath operator pathlib random resource secrets "
    "select selectors socket struct urllib"
).split()
FOUND = {name: __import__(name) for name in NAMES}


def whose() -> dict:
    """For each, the word in the package's; nothing in the standard library's."""
    return {"whose": {name: getattr(module, "WHOSE", None) for name, module in FOUND.items()}}
