from pathlib import Path


def root(x: float) -> float:
    if x < 0:
        raise ValueError(f"{x:g} has no real square root")
    return x**0.5


def read(file: Path) -> str:
    return file.read_text().strip()
