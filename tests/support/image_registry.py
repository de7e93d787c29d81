"""The registries that `./prime` starts on loopback, given images through their HTTP interface.

No engine makes these images: a test says what is in one, and knows its digest before an engine has seen it.
"""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

FOLDER = Path("/run/kedge-registries")
PATIENCE_S = 30.0
_DOCKER = "application/vnd.docker."
_MANIFEST = f"{_DOCKER}distribution.manifest.v2+json"
_LIST = f"{_DOCKER}distribution.manifest.list.v2+json"
_CONFIG = f"{_DOCKER}container.image.v1+json"
_LAYER = f"{_DOCKER}image.rootfs.diff.tar.gzip"


class Registry:
    """A repository of one test's own in a registry.

    Attributes:
        address: the registry's, as engines name it.
        repository: the whole name, to which a tag or digest is added.
        login: `account:password` where the registry wants one.
        ids: the images that were pushed, as engines call them.
    """

    def __init__(self, kind: str) -> None:
        self.address = (FOLDER / kind / "address").read_text().strip()
        login = FOLDER / kind / "login"
        self.login = login.read_text().strip() if login.exists() else ""
        self._name = f"kedge-test/{uuid.uuid4().hex}"
        self.repository = f"{self.address}/{self._name}"
        self.ids: list[str] = []
        self._manifests: list[str] = []

    def push(self, tag: str, *layers: dict[str, bytes], platform: str = "linux/amd64") -> str:
        """Push an image whose layers are files that can be executed; its digest."""
        manifest = self._image(layers, platform)
        return self._put(tag, _MANIFEST, manifest)

    def push_list(self, tag: str, images: dict[str, list[dict[str, bytes]]]) -> str:
        """Push one name for images of several platforms, `{platform: layers}`; its digest."""
        entries = []
        for platform, layers in images.items():
            data = self._image(layers, platform)
            system, machine = platform.split("/")
            entries.append(
                {
                    **_described(_MANIFEST, data),
                    "platform": {"os": system, "architecture": machine},
                }
            )
            self._put(_digest(data), _MANIFEST, data)
        listed = {"schemaVersion": 2, "mediaType": _LIST, "manifests": entries}
        return self._put(tag, _LIST, json.dumps(listed).encode())

    def clear(self) -> None:
        """Remove what was pushed."""
        for digest in self._manifests:
            self._call("DELETE", f"manifests/{digest}")

    def _image(self, layers: Any, platform: str) -> bytes:
        system, machine = platform.split("/")
        tars = [_tar(files) for files in layers]
        config = {
            "architecture": machine,
            "os": system,
            "config": {"Labels": {"kedge-test": self._name}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar) for tar in tars]},
            "history": [{"created_by": "a test"} for _ in tars],
        }
        data = json.dumps(config).encode()
        blobs = [gzip.compress(tar, compresslevel=1, mtime=0) for tar in tars]
        for blob in (data, *blobs):
            self._upload(blob)
        self.ids.append(_digest(data))
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _described(_CONFIG, data),
            "layers": [_described(_LAYER, blob) for blob in blobs],
        }
        return json.dumps(manifest).encode()

    def _upload(self, blob: bytes) -> None:
        place = self._call("POST", "blobs/uploads/", b"")["Location"]
        sign = "&" if "?" in place else "?"
        self._call("PUT", f"{place}{sign}digest={_digest(blob)}", blob, "application/octet-stream")

    def _put(self, tag: str, kind: str, manifest: bytes) -> str:
        told: str = self._call("PUT", f"manifests/{tag}", manifest, kind)["Docker-Content-Digest"]
        self._manifests.append(told)
        return told

    def _call(self, method: str, path: str, data: bytes | None = None, kind: str = "") -> Any:
        url = path if path.startswith("http:") else f"http://{self.repository_url}/{path}"
        request = urllib.request.Request(url, data=data, method=method)
        if kind:
            request.add_header("Content-Type", kind)
        if self.login:
            told = base64.b64encode(self.login.encode()).decode()
            request.add_header("Authorization", f"Basic {told}")
        with _DIRECT.open(request, timeout=PATIENCE_S) as answer:
            return answer.headers

    @property
    def repository_url(self) -> str:
        """Where the interface has this repository."""
        return f"{self.address}/v2/{self._name}"


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def missing(kind: str) -> str:
    """Why a registry cannot be used, "" if it can."""
    try:
        address = (FOLDER / kind / "address").read_text().strip()
        _DIRECT.open(f"http://{address}/", timeout=PATIENCE_S).close()
    except (OSError, urllib.error.URLError) as error:
        return f"no registry on loopback ({error}): `./prime registries` starts it"
    return ""


def _tar(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def _described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(data), "digest": _digest(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
