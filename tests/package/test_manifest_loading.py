"""Manifests: both heads, every file name, and problems with their places, all of a stage at once."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.errors import KedgeError, ManifestError, PackageError
from kedge.package.declaration import LoadedPackage
from kedge.package.manifest import load

SHORT = """\
name: bolts
runtime: {kind: python, version: "3.12"}
functions:
  size: {handler: "bolts:size"}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "bolts.py").write_text("def size(): ...\n")
    monkeypatch.chdir(tmp_path)
    return folder


def loaded(root: Path, text: str, name: str = "kedge.yml") -> LoadedPackage:
    (root / name).write_text(textwrap.dedent(text))
    return load("pkg")


def refused(root: Path, text: str, name: str = "kedge.yml") -> list[tuple[str, str, str]]:
    """Each problem as its place, message, hint."""
    (root / name).write_text(textwrap.dedent(text))
    with pytest.raises(PackageError) as caught:
        load("pkg")
    assert all(problem.hint and problem.where for problem in caught.value.problems)
    return [(str(p.where), p.message, p.hint or "") for p in caught.value.problems]


def test_the_short_and_the_full_form_become_the_same_package(root: Path) -> None:
    short = loaded(
        root,
        """\
        name: bolts
        version: 0.1.0
        description: Screws
        author: A
        license: MIT OR Apache-2.0
        tags: [screws]
        visibility: public
        resources: {tier: nano}
        runtime: {kind: python, version: "3.12", requirements: [numpy]}
        functions:
          size: {handler: "bolts:size", inputs: {d: "Length[mm]"}, env: {A: b, T: {secret: TOKEN}}}
        """,
    )
    full = loaded(
        root,
        """\
        version: "1"
        package:
          name: bolts
          version: 0.1.0
          description: Screws
          author: A
          license: MIT OR Apache-2.0
          tags: [screws]
          visibility: public
          resources: {tier: nano}
        runtime: {kind: python, version: "3.12", requirements: [numpy]}
        functions:
          size: {handler: "bolts:size", inputs: {d: "Length[mm]"}, env: {A: b, T: {secret: TOKEN}}}
        """,
    )
    assert {**short.functions}.keys() == {**full.functions}.keys()
    for field in ("name", "version", "description", "author", "license", "tags", "visibility", "resources",
                  "runtime", "quality", "warnings"):  # fmt: skip
        assert getattr(short, field) == getattr(full, field), field
    size = short.functions["size"]
    assert size.inputs is not None
    assert size.inputs.properties["d"]["x-unit"] == "mm"
    assert size.outputs is None
    assert size.env == {"A": "b", "T": {"secret": "TOKEN"}}
    assert str(size.where) == "pkg/kedge.yml:11:3 (functions.size)"


@pytest.mark.parametrize("name", ["kedge.yml", "kedge.yaml", "mecapy.yml"])
def test_all_file_names_are_read(root: Path, name: str) -> None:
    assert loaded(root, SHORT, name).manifest_file == f"pkg/{name}"


def test_pyproject_is_the_same_data(root: Path) -> None:
    text = """\
    [project]
    name = "other"
    [tool.kedge]
    name = "bolts"
    [tool.kedge.runtime]
    kind = "python"
    version = "3.12"
    [tool.kedge.functions.size]
    handler = "bolts:size"
    """
    assert loaded(root, text, "pyproject.toml").name == "bolts"
    problems = refused(root, text.replace("bolts:size", "bolts.size"), "pyproject.toml")
    assert problems[0][0] == "pkg/pyproject.toml:9:11 (functions.size.handler)"


def test_a_pyproject_without_the_table_is_no_manifest(root: Path) -> None:
    (root / "pyproject.toml").write_text('[project]\nname = "kedge-thing"\n')
    assert loaded(root, SHORT).name == "bolts"


def test_a_broken_pyproject_matters_only_when_it_is_alone(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.kedge\n")
    with pytest.raises(ManifestError, match=r"pkg/pyproject.toml:1:12"):
        load("pkg")
    assert loaded(root, SHORT).name == "bolts"


def test_two_manifests_are_refused_by_both_names(root: Path) -> None:
    (root / "mecapy.yml").write_text(SHORT)
    assert "kedge.yml and mecapy.yml" in refused(root, SHORT)[0][1]


def test_no_manifest_names_the_command_that_writes_one(root: Path) -> None:
    with pytest.raises(PackageError) as caught:
        load("pkg")
    assert "kedge init pkg" in (caught.value.hint or "")
    assert "pkg/bolts.py" in (caught.value.hint or "")


def test_places_can_be_the_authors_when_a_copy_is_read(root: Path, tmp_path: Path) -> None:
    (root / "kedge.yml").write_text("- wrong")
    with pytest.raises(ManifestError, match=r"^mine/kedge.yml:1:1: mine/kedge.yml is a list"):
        load(str(root), author=str(tmp_path / "mine"))


def test_unknown_top_level_keys_are_warnings_with_the_nearest_key(root: Path) -> None:
    package = loaded(root, SHORT + "qualty: {}\nx-mine: 1\n")
    (warning,) = package.warnings
    assert str(warning.where) == "pkg/kedge.yml:5:1 (qualty)"
    assert warning.hint == "did you mean `quality`?"


def test_a_misspelt_required_key_is_pointed_at(root: Path) -> None:
    problems = refused(root, SHORT.replace("functions:", "function:"))
    assert problems == [
        ("pkg/kedge.yml:1:1 (functions)", "`functions` is missing in pkg/kedge.yml",
         "is `function` on line 3 meant to be it?"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "place", "found", "hint"),
    [
        (('"3.12"', "3.10"), "2:34", "the number 3.1 (as `3.10` without quotes is read)", '"3.10"'),
        (('"3.12"', "3.12"), "2:34", "is the number 3.12, expected a text", '"3.12"'),
        (('"3.12"', '"3.12.1"'), "2:34", "without the patch", "3.12"),
        (('"3.12"', '"2.7"'), "2:34", "3.8 or newer", "3.12"),
        (('kind: python, ', ""), "2:1", "`kind` is missing", "python"),
        (("python", "pyton"), "2:17", "is `pyton`, expected python, dockerfile or image", "python"),
        (("python", "[python]"), "2:17", "is a list, expected", ""),
        (('"3.12"', '"3.12", requirement: true'), "2:42", "not a key of `runtime`", "requirements"),
        (('"3.12"', '"3.12", requirements: true'), "2:56", "requirements.txt", "add the file"),
        (('"3.12"', '"3.12", requirements: [1]'), "2:56", "item 1 is the number 1", "numpy"),
        (('"3.12"', '"3.12", requirements: ["-r x"]'), "2:56", "item 1 is `-r x`", "numpy"),
        (("name: bolts", "name: [a]"), "1:7", "a list, expected a text", ""),
        (("name: bolts", "name: a b"), "1:7", "`a b`, expected letters", "`a-b`"),
        (("name: bolts", "name: 12"), "1:7", "the number 12, expected a text", '"12"'),
        (("name: bolts", "name: true"), "1:7", "true, expected a text", '"true"'),
        (("name: bolts", "nome: bolts"), "1:1", "`name` is missing", "`nome` on line 1"),
        (("name: bolts", "name: b\nversion: 1.0"), "2:10", "the number 1.0, expected a text", '"1.0"'),
        (("name: bolts", 'name: b\nversion: "1.2"'), "2:10", "semantic version", "1.2.0"),
        (("name: bolts", "name: b\nlicense: Apache 2.0"), "2:10", "SPDX", "`Apache-2.0`"),
        (("name: bolts", "name: b\ntags: [ok, 'a,b']"), "2:12", "`tags[1]` is `a,b`", "shorten"),
        (("name: bolts", "name: b\nvisibility: pubic"), "2:13", "internal or public", "`public`"),
        (("name: bolts", "name: b\nresources: {cpus: 1}"), "2:13", "not a key of `resources`", "`cpu`"),
        (("name: bolts", "name: b\nresources: {cpu: -1}"), "2:18", "a number above 0", ""),
        (("name: bolts", "name: b\nresources: {cpu: .inf}"), "2:18", "a finite number", ""),
        (("name: bolts", "name: b\nresources: {cpu: true}"), "2:18", "true, expected a number", ""),
        (("name: bolts", "name: b\nresources: {memory_mb: 1.5}"), "2:24", "a whole number", ""),
        (("name: bolts", "name: b\nresources: {tier: tiny}"), "2:19", "`tiny`, expected nano,", ""),
        (("name: bolts", "name: b\nresources: {tier: nano, cpu: 1}"), "2:12", "`tier: nano` and `cpu`", "either"),
        (("name: bolts", "name: b\nquality: {validation_testcases: {on: true}}"), "2:34", "`on`", ""),
        (('"bolts:size"', "bolts"), "4:19", "expected module:function", "bolts:size"),
        (('"bolts:size"', "bolts.py:size"), "4:19", "module `bolts.py`", "bolts:size"),
        (('"bolts:size"', "a/bolts.py:size"), "4:19", "module:function", "a.bolts:size"),
        (('"bolts:size"', "bolts:Bolt.size"), "4:19", "at module level", "wrap it"),
        (('"bolts:size"', "'bolts:'"), "4:19", "module:function", ""),
        (('"bolts:size"', "'bolts:size()'"), "4:19", "module:function", ""),
        (('"bolts:size"', "bolt:size"), "4:19", "`bolt`, which the package does not have", "`bolts:size`"),
        (('"bolts:size"', "nothing.here:x"), "4:19", "`nothing.here`", "bolts"),
        (('"bolts:size"', "12"), "4:19", "the number 12", '"12"'),
        (('"bolts:size"}', "bolts:size, env: {KEDGE_X: a}}"), "4:37", "cannot be a name here", "prefix"),
        (('"bolts:size"}', "bolts:size, env: {A: true}}"), "4:40", "expected a text, or {secret", '"true"'),
        (('"bolts:size"}', "bolts:size, env: {A: {secrt: B}}}"), "4:40", "a mapping, expected", ""),
        (('"bolts:size"}', "bolts:size, testcases: ../x.json}"), "4:42", "below the package's root", ""),
        (('"bolts:size"}', "bolts:size, retries: {max: -1}}"), "4:46", "a number from 0", ""),
        (('"bolts:size"}', "bolts:size, retries: {max: 1, on: [lots]}}"), "4:54", "`lots`", "lost"),
        (('"bolts:size"}', "bolts:size, cache: maybe}"), "4:38", "expected true or false", "quotes"),
        (('"bolts:size"}', "bolts:size, inputs: [a]}"), "4:39", "a list, expected a mapping", ""),
        (('"bolts:size"}', "bolts:size, inputs: {}, inputs_schema: {}}"), "4:43", "both `inputs`", "one"),
        (('"bolts:size"}', "bolts:size, inputs: {a-b: Float, a_b: Float}}"), "4:52", "a_b", ""),
        (('"bolts:size"}', "bolts:size, inputs: {d: {type: Lenght}}}"), "4:50", "Lenght", "Length"),
        (('"bolts:size"}', "bolts:size, inputs: {d: {type: Float, minimun: 1}}}"), "4:57", "minimun", "minimum"),
        (('"bolts:size"}', "bolts:size, inputs: {d: {type: Float, examples: [1, x]}}}"), "4:71", "x", ""),
        (('"bolts:size"}', "bolts:size, inputs_schema: {type: object, properties: {list: {}}}}"), "4:74", "list", ""),
        (("size: {", "_size: {"), "4:3", "a name that is not reserved", "are taken"),
        (("size: {", "a-b: {handler: 'bolts:size'}\n  a_b: {"), "5:3", "same name", "rename"),
        (("  size: {handler: \"bolts:size\"}", "  size:"), "4:3", "nothing, expected a mapping", ""),
        ((SHORT[SHORT.index("functions"):], "functions: {}"), "3:12", "`functions` is empty", "add one"),
        ((SHORT, "[]"), "1:1", "is an empty list, expected a mapping", "kedge init"),
        ((SHORT, "{}"), "1:1", "is empty", "kedge init"),
        ((SHORT, "3"), "1:1", "is the number 3", "kedge init"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_where_it_stands(
    root: Path, change: tuple[str, str], place: str, found: str, hint: str
) -> None:
    text = SHORT.replace(*change)
    assert text != SHORT
    problems = refused(root, text)
    at, message, advice = problems[0]
    assert at.startswith(f"pkg/kedge.yml:{place}"), problems
    assert found in message, problems
    assert hint in advice, problems
    assert len(problems) == 1, problems


def test_all_problems_of_a_stage_come_at_once_in_the_files_order(root: Path) -> None:
    problems = refused(
        root,
        """\
        name: ../x
        version: one
        runtime: {kind: pyton}
        functions:
          f: {handlr: "m:f"}
          g: {handler: 3, network: 1}
          list: {handler: "m:f", resources: {cpu: 0, memry: 1}}
        """,
    )
    assert [at.split(":")[1] for at, _, _ in problems] == ["1", "2", "5", "6", "6", "7", "7", "7"]
    assert not any("pyton" in message for _, message, _ in problems)  # of a later stage


def test_a_container_package_declares_its_ports(root: Path) -> None:
    text = """\
    name: solver
    runtime: {kind: image, image: "registry.example/me/solver:1.4"}
    functions:
      thermal:
        entrypoint: ["/opt/run.sh", "--mode=thermal"]
    """
    problems = refused(root, text)
    assert [hint for _, _, hint in problems] == [
        "declare them; for a function without any: inputs: {}",
        "declare them; for a function without any: outputs: {}",
    ]
    package = loaded(root, text + "    inputs: {mesh: 'File[med]'}\n        outputs: {}\n")
    assert package.functions["thermal"].entrypoint == ("/opt/run.sh", "--mode=thermal")
    assert package.runtime["image"] == "registry.example/me/solver:1.4"
    assert package.warnings == ()


@pytest.mark.parametrize("image", ["me/solver", "me/solver:latest", "localhost:5000/solver"])
def test_an_image_without_a_version_is_a_warning(root: Path, image: str) -> None:
    package = loaded(
        root,
        f"""\
        name: solver
        runtime: {{kind: image, image: "{image}"}}
        functions: {{f: {{entrypoint: [run], inputs: {{}}, outputs: {{}}}}}}
        """,
    )
    assert "not reproducible" in package.warnings[0].message


def test_a_digest_is_no_warning(root: Path) -> None:
    package = loaded(
        root,
        f"""\
        name: solver
        runtime: {{kind: image, image: "me/solver@sha256:{"0" * 64}"}}
        functions: {{f: {{entrypoint: [run], inputs: {{}}, outputs: {{}}}}}}
        """,
    )
    assert package.warnings == ()


def test_what_a_python_package_asks_of_its_image_is_read(root: Path) -> None:
    text = """\
    name: bolts
    runtime:
      kind: python
      version: "3.12"
      base_image: "registry.example/tools:1.2"
      commands:
        - make install
        - |
          cd /opt
          ls
    functions:
      size: {handler: "bolts:size"}
    """
    package = loaded(root, text)
    assert package.runtime["base_image"] == "registry.example/tools:1.2"
    assert package.runtime["commands"] == ["make install", "cd /opt\nls\n"]
    assert package.warnings == ()
    (warning,) = loaded(root, text.replace(":1.2", "")).warnings
    assert "`base_image`" in warning.message and "not reproducible" in warning.message
    assert warning.hint and "registry.example/tools:1.0" in warning.hint
    assert loaded(root, SHORT).runtime["base_image"] is None


def test_a_dockerfile_package_needs_its_dockerfile(root: Path) -> None:
    text = """\
    name: solver
    runtime: {kind: dockerfile, dockerfile: ./Dockerfile, user: image, platform: linux/amd64}
    functions: {f: {entrypoint: [run], inputs_schema: {}, outputs_schema: {}}}
    """
    assert "`./Dockerfile`, which the package does not have" in refused(root, text)[0][1]
    (root / "Dockerfile").write_text("FROM scratch\n")
    assert loaded(root, text).runtime["context"] == "."


@pytest.mark.parametrize(
    ("kind", "function", "message"),
    [
        ("python, version: '3.12'", "handler: 'bolts:size', entrypoint: [x]", "both `handler` and"),
        ("python, version: '3.12'", "description: x", "neither `handler` nor"),
        (
            "python, version: '3.12'",
            "entrypoint: [x]",
            "`entrypoint` does not fit runtime.kind python",
        ),
        (
            "image, image: 'a:1'",
            "handler: 'a:b', inputs: {}, outputs: {}",
            "`handler` does not fit",
        ),
        ("image, image: 'a:1'", "entrypoint: [], inputs: {}, outputs: {}", "an empty list"),
        ("image, image: 'a:1'", "entrypoint: run it, inputs: {}, outputs: {}", "expected a list"),
    ],
)
def test_handler_and_entrypoint_fit_the_kind(
    root: Path, kind: str, function: str, message: str
) -> None:
    text = f"name: x\nruntime: {{kind: {kind}}}\nfunctions: {{f: {{{function}}}}}\n"
    assert message in refused(root, text)[0][1]


def test_half_of_the_sizes_over_a_tier_is_refused(root: Path) -> None:
    text = SHORT.replace("name: bolts", "name: b\nresources: {tier: small}").replace(
        '"bolts:size"}', '"bolts:size", resources: {cpu: 1}}'
    )
    (problem,) = refused(root, text)
    assert "without `memory_mb`" in problem[1]


def test_package_fields_beside_a_package_block_are_refused(root: Path) -> None:
    problems = refused(
        root,
        """\
        version: 2
        name: x
        package: {name: bolts, version: 0.1.0}
        runtime: {kind: python, version: "3.12"}
        functions: {size: {handler: "bolts:size"}}
        """,
    )
    assert [at.split(" ")[0] for at, _, _ in problems] == [
        "pkg/kedge.yml:1:10",
        "pkg/kedge.yml:2:1",
    ]


def test_retries_are_a_number_or_a_block(root: Path) -> None:
    package = loaded(
        root,
        SHORT.replace('size"}', 'size", retries: 2}')
        + '  again: {handler: "bolts:size", retries: {max: 3, on: [timeout], memory_factor: 2}, cache: true}\n',
    )
    assert package.functions["size"].retries == {"max": 2}
    assert package.functions["again"].retries == {"max": 3, "on": ["timeout"], "memory_factor": 2.0}
    assert package.functions["again"].cache is True


def test_modules_may_be_packages_and_deep(root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c.py").write_text("")
    (root / "fast.cpython-312-x86_64-linux-gnu.so").write_text("")
    text = SHORT + "".join(
        f'  f{n}: {{handler: "{module}:f"}}\n'
        for n, module in enumerate(["a.b.c", "a.b", "a", "fast"])
    )
    assert len(loaded(root, text).functions) == 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfen\x00", "UTF-16"),
        (b"name: caf\xe9\n", "0xe9"),
        (b"x" * (2 << 20), "larger than"),
        (b"name: \x00\n", "U+0000"),
    ],
)
def test_what_is_no_text_is_refused(root: Path, data: bytes, words: str) -> None:
    (root / "kedge.yml").write_bytes(data)
    with pytest.raises(ManifestError, match=words.replace("+", r"\+")):
        load("pkg")


def test_a_manifest_that_is_a_pipe_or_a_folder_is_refused_not_waited_for(root: Path) -> None:
    import os

    os.mkfifo(root / "kedge.yml")
    with pytest.raises(ManifestError, match="not a regular file"):
        load("pkg")
    (root / "kedge.yml").unlink()
    (root / "kedge.yml").mkdir()
    with pytest.raises(ManifestError):
        load("pkg")
    (root / "kedge.yml").rmdir()
    (root / "kedge.yml").symlink_to("nowhere")
    with pytest.raises(ManifestError, match="cannot be read"):
        load("pkg")


def test_a_byte_order_mark_is_no_problem(root: Path) -> None:
    (root / "kedge.yml").write_bytes(b"\xef\xbb\xbf" + SHORT.encode())
    assert load("pkg").name == "bolts"


WORDS = [
    "name", "version", "package", "runtime", "kind", "python", "image", "dockerfile", "functions", "handler",
    "entrypoint", "inputs", "outputs", "inputs_schema", "type", "properties", "resources", "tier", "cpu",
    "memory_mb", "timeout", "network", "env", "secret", "testcases", "retries", "max", "quality", "tags",
    "requirements", "bolts:size", "3.12", "0.1.0", "nano", "small", "Length[mm]", "File[pdf]", "list", "a.b",
    "default", "", "1", "object", "required", "examples", "license", "visibility", "public", "-", "__class__",
]  # fmt: skip
leaves = (
    st.sampled_from(WORDS)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
)
structures = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=25,
)
heads = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | leaves,
        "version": st.just("1") | leaves,
        "package": structures,
        "runtime": st.fixed_dictionaries(
            {"kind": st.sampled_from(["python", "image", "dockerfile"]) | leaves},
            optional={
                "version": st.just("3.12") | leaves,
                "image": st.just("a:1") | leaves,
                "requirements": structures,
                "dockerfile": leaves,
            },
        )
        | structures,
        "functions": st.dictionaries(
            st.sampled_from(["f", "g-h", "list"]) | st.text(max_size=3),
            st.fixed_dictionaries(
                {},
                optional={
                    "handler": st.just("bolts:size") | leaves,
                    "entrypoint": st.lists(leaves, max_size=3) | leaves,
                    "inputs": structures,
                    "outputs": structures,
                    "inputs_schema": structures,
                    "resources": structures,
                    "env": structures,
                    "retries": structures,
                    "network": leaves,
                },
            )
            | structures,
            max_size=3,
        )
        | structures,
        "resources": structures,
        "quality": structures,
        "tags": structures,
    },
)
quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def attempt(root: Path, data: bytes, name: str = "kedge.yml") -> None:
    (root / name).write_bytes(data)
    try:
        package = load(str(root))
    except KedgeError as error:
        assert isinstance(error, PackageError)
        assert error.problems
        for problem in error.problems:
            assert problem.hint, problem
            assert problem.where, problem
            assert str(problem)
        assert error.to_json()
    else:
        assert isinstance(package, LoadedPackage)
        assert package.functions


@quick
@given(data=heads | structures)
def test_any_structure_is_a_package_or_refused(root: Path, data: Any) -> None:
    try:
        text = yaml.safe_dump(data, allow_unicode=True)
    except (UnicodeEncodeError, ValueError):
        return
    attempt(root, text.encode("utf-8", "surrogatepass"))


@quick
@given(
    cut=st.integers(0, len(SHORT)),
    length=st.integers(0, 12),
    insert=st.text(st.sampled_from(" \n\t:-{}[]\"'&*#!|>aé0.,?\x00"), max_size=8),
)
def test_any_edit_of_a_manifest_is_a_package_or_refused(
    root: Path, cut: int, length: int, insert: str
) -> None:
    attempt(root, (SHORT[:cut] + insert + SHORT[cut + length :]).encode())


@quick
@given(data=st.binary(max_size=40))
def test_any_bytes_are_a_package_or_refused(root: Path, data: bytes) -> None:
    attempt(root, data)
