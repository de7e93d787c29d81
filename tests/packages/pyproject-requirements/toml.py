import tomli_w


def dump(key: str, value: int) -> str:
    return tomli_w.dumps({key: value})
