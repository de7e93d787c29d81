import os

RUN = os.environ.get("KEDGE_RUN_ID", "none")


def value() -> bool:
    return os.environ["KEDGE_RUN_ID"] == RUN
