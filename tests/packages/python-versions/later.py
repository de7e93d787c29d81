from __future__ import annotations


def add(a: int, b: int | None = None, c: list[int] = []) -> int:
    return a + (b or 0) + sum(c)
