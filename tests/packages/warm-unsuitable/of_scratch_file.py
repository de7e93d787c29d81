with open("scratch/made", "w") as file:
    file.write("made")


def value() -> str:
    return open("scratch/made").read()
