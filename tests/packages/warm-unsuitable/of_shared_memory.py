with open("/dev/shm/made", "w") as file:
    file.write("made")


def value() -> str:
    return open("/dev/shm/made").read()
