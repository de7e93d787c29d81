def never() -> None:
    raise AssertionError("an environment that cannot be made must not run anything")
