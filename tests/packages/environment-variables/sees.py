import os


def variables() -> dict:
    return {"variables": dict(os.environ)}
