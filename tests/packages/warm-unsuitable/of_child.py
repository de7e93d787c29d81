import subprocess

CHILD = subprocess.Popen(["sleep", "1000"])


def value() -> bool:
    return CHILD.poll() is None
