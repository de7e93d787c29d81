import os

FUNCTION = os.environ["KEDGE_FUNCTION"]


def value() -> str:
    return FUNCTION
