import os


def limits() -> dict:
    return {name: value for name, value in os.environ.items() if name.startswith("MECAPY_")}
