"""As daemons do that want nothing of who started them."""

import os

os.closerange(3, 4096)


def value() -> int:
    return 1
