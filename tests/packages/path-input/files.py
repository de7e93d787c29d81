from pathlib import Path


def measure(mesh: Path) -> dict:
    assert isinstance(mesh, Path)
    text = mesh.read_text()
    return {"name": mesh.name, "lines": len(text.splitlines()), "size": len(text)}
