"""What is known of an image."""

from collections.abc import Mapping

from kedge.data import Data, field


class Image(Data):
    """An image that an engine has.

    Args:
        reference: what it was asked for by.
        id: the digest of its configuration, `sha256:…`: what is run.
        digest: the registry's, `sha256:…`, where it came from one; else the id.
        platform: `linux/amd64`.
        user: who its programs are unless told otherwise; "" is root.
        folder: its working directory, "" for none.
        variables: those that it sets.
        labels: what was written on it.
        size: bytes.
    """

    reference: str
    id: str
    digest: str
    platform: str
    user: str = ""
    folder: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
