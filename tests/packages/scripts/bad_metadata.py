# /// script
# requires-python = ">=3.12"
# dependencies = "tomli-w"
# ///
def double(x: float) -> float:
    return 2 * x
