from typing import Any, Dict


def typed(n: int) -> Dict[str, float]:
    return {f"x{i}": i / 2 for i in range(n)}


def anything(n: int) -> Dict[str, Any]:
    return {"n": n, "text": "n" * n, "nested": {"list": [n]}}


def unannotated(n):
    return n


def mistyped(n: int) -> Dict[str, float]:
    return {"good": 1.0, "bad": "one"}
