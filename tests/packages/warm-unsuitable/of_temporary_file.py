with open("/tmp/made", "w") as file:
    file.write("made")


def value() -> str:
    return open("/tmp/made").read()
