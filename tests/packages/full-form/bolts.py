def size(diameter_mm: float, load_n: float) -> dict:
    return {"stress_mpa": load_n / (3.14 * (diameter_mm / 2) ** 2)}
