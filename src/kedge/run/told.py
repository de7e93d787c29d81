"""What is said once on a machine: what it cannot do is news the first time, and noise after that."""

import os
import re
from contextlib import suppress

from kedge.home import folder, home


def first_time(sentence: str) -> bool:
    """Whether nothing like `sentence` was said yet; numbers in it may differ. It counts as said now.

    Where it cannot be remembered it is said again.
    """
    line = re.sub(r"\d+(\.\d+)?", "0", sentence).replace("\n", " ") + "\n"
    path = os.path.join(home(), "told")
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        if line in file:
            return False
    with suppress(OSError):
        folder()
        with open(path, "a", encoding="utf-8") as file:
            file.write(line)
    return True
