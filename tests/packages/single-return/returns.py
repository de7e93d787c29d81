from typing import List


def number(x: float) -> float:
    return 2 * x


def text(x: int = 1) -> str:
    return "x" * x


def numbers(n: int = 3) -> List[int]:
    return list(range(n))


def nothing(x: int = 0) -> None:
    return None
