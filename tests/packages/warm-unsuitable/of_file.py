FILE = open(__file__)


def value() -> str:
    return FILE.readline()
