"""Modules of the caller's own: those that a decorated function needs and does not ship are told before the run."""

from collections.abc import Callable

type Script = Callable[..., list[str]]

HEAD = """
import kedge

def tried(function, *args, **options):
    try:
        return kedge.function(function, name="tested", **options).run(*args)
    except Exception as error:
        return [type(error).__name__, str(error), error.hint if hasattr(error, "hint") else ""]
"""

UTILS = "class Thing:\n    value = 3\n\ndef helper():\n    return Thing.value\n"


def missing(text: str, function: str, name: str, place: str, hint: str) -> str:
    """What is said of a module that a function needs and that is not shipped."""
    lines = (HEAD + text).splitlines()
    (line,) = (at for at, one in enumerate(lines, 1) if one.startswith(f"def {function}("))
    said = f"{{main}}:{line} (copy): `{name}` is imported from {place}, which is not in `copy`"
    return repr(["UsageError", said, hint])


def checked(script: Script, text: str, files: dict[str, str], expected: list[str]) -> None:
    """Run a script and compare what it says, where its own path is written `{main}`."""
    found = script(HEAD + text, files)
    assert [line.replace(place_of(line), "{main}") for line in found] == expected


def place_of(line: str) -> str:
    """The path of the script in a line, else what no line has."""
    return line[line.find("/") : line.find("main.py") + len("main.py")] if "/" in line else "\0"


def test_an_import_in_the_body_is_told(script: Script) -> None:
    text = """
def body():
    from utils import helper
    return helper()

def within():
    def inner():
        import utils.deep
    return inner()

def late():
    return [(lambda: __import__("json") and helped())() for _ in range(1)]

def helped():
    import utils

print(tried(body))
print(tried(within))
print(tried(late))
print(tried(body, copy=["utils.py"]))
"""
    hint = 'copy=["./utils.py"]'
    expected = [
        missing(text, function, "utils", "./utils.py", hint)
        for function in ("body", "within", "late")
    ]
    checked(script, text, {"utils.py": UTILS}, [*expected, "3"])


def test_what_the_module_imported_at_its_top_is_told(script: Script) -> None:
    text = """
import utils
from utils import helper
from utils import Thing

def by_module():
    return utils.helper()

def by_function():
    return helper()

def by_class():
    return Thing().value

for function in (by_module, by_function, by_class):
    print(tried(function))
    print(tried(function, copy=["utils.py"]))
"""
    hint = 'copy=["./utils.py"]'
    expected = []
    for function in ("by_module", "by_function", "by_class"):
        expected += [missing(text, function, "utils", "./utils.py", hint), "3"]
    checked(script, text, {"utils.py": UTILS}, expected)


def test_the_class_of_an_argument_is_told(script: Script) -> None:
    text = """
import utils

def valued(things):
    return things["one"][0].value

print(tried(valued, {"one": [utils.Thing()]}))
print(tried(valued, {"one": [utils.Thing()]}, copy=["utils.py"]))
"""
    expected = missing(text, "valued", "utils", "./utils.py", 'copy=["./utils.py"]')
    checked(script, text, {"utils.py": UTILS}, [expected, "3"])


def test_all_that_are_missing_are_told_at_once(script: Script) -> None:
    text = """
def both():
    import utils, other
    from package import module

try: kedge.function(both).run()
except kedge.KedgeError as error:
    print(error.code, [problem.message.split("`")[1] for problem in error.problems])
"""
    files = {"utils.py": "", "other.py": "", "package/module.py": ""}
    assert script(HEAD + text, files) == ["usage ['other', 'package', 'utils']"]


def test_one_that_stands_elsewhere_is_told_with_where_it_has_to_stand_inside(
    script: Script,
) -> None:
    text = """
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))

def body():
    import utils
    return utils.helper()

print(tried(body))
print(tried(body, copy={"lib/utils.py": "utils.py"}))
"""
    hint = 'copy={"lib/utils.py": "utils.py"}'
    expected = [missing(text, "body", "utils", "./lib/utils.py", hint), "3"]
    checked(script, text, {"lib/utils.py": UTILS}, expected)


def placed(name: str, here: str, inside: str, hint: str) -> str:
    """What is said of a module that is shipped to where it is not found."""
    said = (
        f"`{name}` is imported from {here}, which `copy` puts at `{inside}`, where it is not found"
    )
    return f"{said} {hint}"


SAYS = """
def says(*given, **options):
    _, said, hint = tried(*given, **options)
    print(said.rpartition("(copy): ")[2], hint)
"""


def test_one_that_is_shipped_to_where_it_is_not_found_is_told(script: Script) -> None:
    text = """
import package.deep
import utils

def body():
    import utils
    return utils.helper()

def of_package():
    from package import deep
    return deep.VALUE

def moved():
    from lib.utils import helper
    return helper()

def at_top():
    return utils.helper()

says(body, copy={"utils.py": "lib/utils.py"})
says(at_top, copy={"utils.py": "lib/utils.py"})
says(lambda thing: thing.value, utils.Thing(), copy={"utils.py": "lib/utils.py"})
says(of_package, copy={"package": "lib/package"})
says(of_package, copy={"package/deep.py": "deep.py"})
print(tried(moved, copy={"utils.py": "lib/utils.py"}))
print(tried(body, copy={"utils.py": "lib/utils.py", "other.py": "utils.py"}))
"""
    files = {"utils.py": UTILS, "other.py": "def helper():\n    return 4\n"}
    files |= {"package/__init__.py": "", "package/deep.py": "VALUE = 3\n"}
    utils = placed("utils", "./utils.py", "lib/utils.py", 'copy=["./utils.py"]')
    package = [
        placed("package", "./package", inside, 'copy=["./package"]')
        for inside in ("lib/package", "deep.py")
    ]
    assert script(HEAD + SAYS + text, files) == [*[utils] * 3, *package, "3", "4"]


def test_what_a_shipped_part_of_a_package_lacks_is_told(script: Script) -> None:
    text = """
import package
from package import helper, module

def both():
    from package import module, other
    return module.VALUE

def attribute():
    from package import helper
    return helper()

def deep():
    import package.folder.inner
    return package.folder.inner.VALUE

def by_reference():
    return helper()

def without_init():
    import package.module
    return package.module.VALUE

def of_module():
    return module.VALUE

says(both, copy=["package/module.py"])
says(attribute, copy=["package/module.py"])
says(deep, copy=["package/module.py"])
says(by_reference, copy=["package/module.py"])
says(lambda thing: thing, package.Thing(), copy=["package/module.py"])
says(both, copy={"package/module.py": "package/module.py", "package/other.py": "other.py"})
print(tried(without_init, copy=["package/module.py"]), tried(of_module, copy=["package/module.py"]))
for function in (both, attribute, deep, by_reference):
    print(tried(function, copy=["package"]))
"""
    files = {
        "package/__init__.py": "class Thing: pass\ndef helper():\n    return 3\n",
        "package/module.py": "VALUE = 3\n",
        "package/other.py": "",
        "package/folder/inner.py": "VALUE = 3\n",
    }
    lacking = [
        ("package.other", "other.py"),
        ("package", "__init__.py"),
        ("package.folder.inner", "folder/inner.py"),
        ("package", "__init__.py"),
        ("package", "__init__.py"),
    ]
    told = [
        f"`{name}` is imported from ./package/{file}, which is not in `copy`"
        f' copy=["./package/{file}"]'
        for name, file in lacking
    ]
    hint = 'copy=["./package/other.py"]'
    told.append(placed("package.other", "./package/other.py", "other.py", hint))
    assert script(HEAD + SAYS + text, files) == [*told, "3 3", *["3"] * 4]


def test_a_function_may_say_itself_where_its_modules_are(script: Script) -> None:
    text = """
def body():
    import sys
    sys.path.insert(0, "lib")
    import utils
    return utils.helper()

print(tried(body, copy={"utils.py": "lib/utils.py"}))
says(body)
"""
    said = '`utils` is imported from ./utils.py, which is not in `copy` copy=["./utils.py"]'
    assert script(HEAD + SAYS + text, {"utils.py": UTILS}) == ["3", said]


def test_a_part_of_a_package_may_be_shipped(script: Script) -> None:
    text = """
def part():
    from package import module
    return module.VALUE

print(tried(part, copy=["package/module.py"]))
print(tried(part, copy=["package"]))
print(tried(part, copy={".": "."}))
"""
    files = {"package/module.py": "VALUE = 3\n", "package/other.py": "import no_such_module\n"}
    assert script(HEAD + text, files) == ["3", "3", "3"]


def test_a_function_of_a_package_is_told_of_its_siblings(script: Script) -> None:
    jobs = (
        "import kedge\n"
        "from .shapes import circle\n"
        "from . import shapes\n"
        "def absolute():\n    from package.shapes import circle\n    return circle()\n"
        "def relative():\n    from .shapes import circle\n    return circle()\n"
        "def named():\n    return circle()\n"
        "def module():\n    return shapes.circle()\n"
        "def own():\n    from package import jobs\n    return jobs.circle()\n"
        "def alone():\n    return 3\n"
    )
    text = """
from package import jobs
for name in ("absolute", "relative", "named", "module", "own"):
    function = getattr(jobs, name)
    _, said, hint = tried(function)
    print(said.rpartition("(copy): ")[2].partition(" from")[0], hint)
    print(tried(function, copy={"../package": "package"}))
print(tried(jobs.alone))
"""
    files = {"package/__init__.py": "", "package/jobs.py": jobs}
    files["package/shapes.py"] = "def circle():\n    return 3\n"
    told = ["`package` is imported " + 'copy={"../package": "package"}', "3"]
    assert script(HEAD + text, files) == [*told * 5, "3"]


def test_its_own_module_goes_with_it_unless_it_imports_that_again(script: Script) -> None:
    solo = (
        "CONSTANT = 3\n"
        "def imports():\n    import solo\n    return solo.CONSTANT\n"
        "def uses():\n    return CONSTANT\n"
    )
    text = """
import solo
_, said, hint = tried(solo.imports)
print(said.rpartition("(copy): ")[2], hint)
print(tried(solo.imports, copy=["solo.py"]), tried(solo.uses))
"""
    said = '`solo` is imported from ./solo.py, which is not in `copy` copy=["./solo.py"]'
    assert script(HEAD + text, {"solo.py": solo}) == [said, "3 3"]


def test_what_is_installed_or_pythons_own_is_nobodys_own(script: Script) -> None:
    text = """
import json, os.path, click

def body():
    import sqlite3, xml.dom, kedge
    return json.dumps(1), os.path.sep, sqlite3.sqlite_version > "3", hasattr(kedge, "progress")

def installed():
    try:
        import click.core
    except ImportError as error:
        return error.name

def absent():
    try:
        import no_such_module_anywhere
    except ImportError:
        return "absent"

print(tried(body))
print(tried(installed))
print(tried(absent))
"""
    assert script(HEAD + text) == ["('1', '/', True, True)", "click", "absent"]


def test_packages_on_the_path_of_python_are_installed_ones(script: Script) -> None:
    text = """
import os, sys
place = os.path.join(os.path.dirname(__file__), "apps", "site-packages")
sys.path.insert(0, place)

def body():
    try:
        import tools
    except ImportError:
        return "not in this environment"

print(tried(body))
"""
    files = {"apps/site-packages/tools.py": ""}
    assert script(HEAD + text, files) == ["not in this environment"]


def test_an_object_of_a_shipped_module_comes_back_though_only_the_body_imports_it(
    script: Script,
) -> None:
    text = """
import sys

def made():
    from utils import Thing
    return Thing()

def other():
    import sys
    sys.path.insert(0, ".")
    module = __import__("ut" + "ils")
    return module.Thing()

found = tried(made, copy=["utils.py"])
print(type(found).__module__, found.value, "utils" in sys.modules)
del sys.modules["utils"]
print(tried(other, copy=["utils.py"])[0], "utils" in sys.modules)
"""
    assert script(HEAD + text, {"utils.py": UTILS}) == ["utils 3 True", "ResultError False"]
