# /// script
# requires-python = ">=3.12"
# dependencies = ["tomli-w==1.2.0"]
#
# [tool.kedge.functions.dump]
# handler = "with_dependency:dump"
# description = "From the script's own metadata."
# ///
import tomli_w


def dump(key: str, value: int) -> str:
    return tomli_w.dumps({key: value})


def other(x: int) -> int:
    return x
