"""The first half of the primer: from a bare checkout to the project's own code.

An entry script such as `./kedge`, a few lines of POSIX sh, runs this file with the environment's own
Python, or, while there is none, with any Python from 3.8 on that starts:
    python -I primer/proto.py start MAIN ENVIRONMENT SCRIPT [ARGUMENT...]

1. Running in the environment, and the stamp in it equals the key: call MAIN (`package.module:function`)
   in this process. Nothing is started, written or fetched; only `os` and `sys` are imported.
2. Otherwise, under a lock: find a Python that fits by running candidates, install the lock file with
   uv (or pip) into a new folder, write the stamp last, and turn the link `.primer/ENVIRONMENT` to it
   with one rename. A kill at any instant leaves the old link; the next start begins anew.
3. Replace this process by the environment's Python, once; it arrives at 1.

The key is the checkout's path, the configuration, the lock file and the base interpreter's identity.
`primer.json` configures, and `primer.local.json` overrides it on one machine:

    python        the versions that fit: ">=3.12", ">=3.12,<3.15", "==3.12.*"
    environments  name -> {"lock": hashed requirements file, "paths": folders to import from}
    folder        where to make environments instead of in `.primer`
    download      whether uv may download a Python when none fits; true unless set
    uv            hashed requirements file with uv alone, to fetch it where it is not on PATH

Variables: PRIMER_REBUILD=1 makes the environment anew, PRIMER_EXPLAIN=1 prints the state as JSON and
stops, PRIMER_VERBOSE=1 shows what the tools say. MAIN sees none of them.
"""

import os
import sys

if sys.version_info < (3, 8):  # The syntax below is that of 3.6, so that more can say this.
    sys.exit("primer: Python 3.8 or newer is needed, and this is " + sys.version.split()[0])

LAYOUT = 1  # Raise it when environments made by an older proto.py must be made anew.
FILES = ["primer.json", "primer.local.json"]
OPTIONS = {"python": str, "environments": dict, "folder": str, "download": bool, "uv": str}
PROBE_SECONDS = 20  # A version manager's shim takes up to a second on a busy machine.
PROBE = (
    "import os, sys; print(os.path.realpath(getattr(sys, '_base_executable', '') or sys.executable))\n"
    "print('%d.%d.%d' % sys.version_info[:3])"
)
SITES = "import os, sysconfig as s; print(os.__file__); print(s.get_path('purelib'))"
PIP_INSTALL = ["-I", "-m", "pip", "install", "--retries=1", "--no-deps", "--require-hashes", "-r"]
FOREIGN = (  # Variables of a caller's shell that would turn a tool to another environment.
    "PYTHON|VIRTUAL_ENV|CONDA_PREFIX|__PYVENV|UV_(PYTHON|PROJECT_ENVIRONMENT|SYSTEM_PYTHON)$"
    "|PIP_(USER|TARGET|PREFIX|ROOT|PYTHON|REQUIRE_VIRTUALENV)$"
)


class SetUpError(Exception):
    """The environment cannot be made: what is wrong in one line, then details."""


def start(main, name, script, arguments, moved=False):
    """Call `main` in the environment `name`, made ready first if it is not. Does not return."""
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    rebuild = bool(os.environ.get("PRIMER_REBUILD")) and not moved
    try:
        if os.environ.get("PRIMER_EXPLAIN"):
            sys.exit(explain(root, name))
        if rebuild or not is_fresh(root, name, sys.prefix):
            if moved:
                raise SetUpError(f"files of `{name}` changed while it was made; start again")
            python = make_ready(root, name, rebuild) + "/bin/python"
            command = [python, "-I", os.path.realpath(__file__), "moved", main, name, script]
            os.execv(python, command + arguments)
    except (SetUpError, OSError) as error:
        say(f"error: {error}")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
    for variable in ("PRIMER_REBUILD", "PRIMER_EXPLAIN", "PRIMER_VERBOSE"):
        os.environ.pop(variable, None)
    sys.argv = [script, *arguments]
    module, _, function = main.partition(":")
    __import__(module)
    sys.exit(getattr(sys.modules[module], function)())


def is_fresh(root, name, environment):
    """Whether the stamp in `environment` equals the key as it is now."""
    stamp = (
        read(environment + "/stamp") or ""
    )  # It names its files; the configuration is the first.
    files = [line.split("\t")[0] for line in stamp.splitlines()[3:-1]]
    return stamp == key(root, name, files) + identity(environment)


def key(root, name, files):
    """All of the key but the interpreter."""
    parts = [("layout", LAYOUT), ("checkout", os.fsencode(root)), ("environment", name)]
    parts += [(file, read(os.path.join(root, file))) for file in files]
    return "".join(f"{part}\t{value!a}\n" for part, value in parts)


def identity(environment):
    """The key's last line: path, size and time of the base interpreter, if that is still whole."""
    try:
        base = os.path.realpath(environment + "/bin/python")
        os.stat(environment + "/stdlib/os.py")
        status = os.stat(base)
    except OSError:
        return "python\tgone\n"
    return f"python\t{os.fsencode(base)!a} {status.st_size} {status.st_mtime_ns}\n"


def read(path):
    """The text of a file, or None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return None


def configuration(root, name):
    """The options of primer.json and, for the environment `name`, its `lock` and `paths`."""
    import json

    settings = {"python": ">=3.8", "environments": {}, "folder": "", "download": True, "uv": ""}
    for file in FILES:
        try:
            settings.update(checked(file, json.loads(read(f"{root}/{file}") or "{}"), OPTIONS))
        except ValueError as error:
            raise SetUpError(f"{file} is not JSON: {error}") from None
    where = f"primer.json, environment `{name}`"
    own = settings["environments"].get(name, {})
    settings.update({"paths": [], **checked(where, own, {"lock": str, "paths": list})})
    if read(os.path.join(root, settings.get("lock", ""))) is None:
        raise SetUpError(f"{where}: there is no lock file `{settings.get('lock', '')}`")
    if settings["folder"]:  # It may be other checkouts' as well.
        settings["folder"] = os.path.join(root, os.path.expanduser(settings["folder"])) + root
    return settings


def checked(where, given, known):
    """`given`, an object all of whose keys are known and have values of the right type."""
    import difflib

    if not isinstance(given, dict):
        raise SetUpError(f"{where}: {given!r} is not an object")
    for option, value in given.items():
        if option not in known:
            near = difflib.get_close_matches(option, known, 1) or sorted(known)
            raise SetUpError(f"{where}: there is no option `{option}`, but `{'`, `'.join(near)}`")
        if not isinstance(value, known[option]):
            raise SetUpError(f"{where}: `{option}` is {value!r}, not a {known[option].__name__}")
    return given


def fits(version, wanted):
    """Whether a version is what `wanted` asks for; a clause's last numbers may be left out."""
    import re

    for clause in wanted.split(","):
        match = re.match(r"\s*(>=|<|==|!=)\s*(\d+(?:\.\d+)*)(?:\.\*)?\s*$", clause)
        if not match:
            raise SetUpError(f"primer.json: `python` is {wanted!r}; write it like `>=3.12,<3.15`")
        limit = [int(part) for part in match.group(2).split(".")]
        have = [int(part) for part in version.split(".")][: len(limit)]
        met = {">=": have >= limit, "<": have < limit, "==": have == limit, "!=": have != limit}
        if not met[match.group(1)]:
            return False
    return True


def make_ready(root, name, rebuild):
    """The path of a fresh environment, made now unless it is there or another start makes it."""
    import fcntl

    homes = homes_of(root)
    for home in homes:
        if not rebuild and is_fresh(root, name, f"{home}/{name}"):
            return f"{home}/{name}"
    settings = configuration(root, name)
    home, lock = lock_file(homes)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another start, which holds {home}/lock")
        fcntl.flock(lock, fcntl.LOCK_EX)
    link = f"{home}/{name}"
    if rebuild or not is_fresh(root, name, link):
        build(root, name, settings, home, link)
    return link  # The lock is held until this process is replaced.


def homes_of(root):
    """The checkout's `.primer`, or, when that cannot be written, the user's cache: as in `./kedge`."""
    return [root + "/.primer", f"{cache_folder()}/primer{root}/.primer"]


def cache_folder():
    """The user's cache; where none can be written, a folder in /tmp that is this user's alone."""
    cache = os.path.abspath(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    try:
        os.makedirs(cache, exist_ok=True)
    except OSError:
        pass  # No home, or one that cannot be written: access() says so next.
    if os.access(cache, os.W_OK | os.X_OK):
        return cache
    cache = f"/tmp/primer-{os.getuid()}"
    os.makedirs(cache, 0o700, exist_ok=True)
    status = os.lstat(cache)
    if status.st_mode & 0o170022 != 0o040000 or status.st_uid != os.getuid():
        raise SetUpError(f"{cache} is not a folder of this user alone; set XDG_CACHE_HOME")
    return cache


def lock_file(homes):
    """The first home that can be written, made so that git ignores it, and its open lock file."""
    refused = ["no folder can be written to make the environment in; set XDG_CACHE_HOME"]
    for home in homes:
        try:
            os.makedirs(home, exist_ok=True)
            if read(home + "/.gitignore") != "*\n":
                with open(home + "/.gitignore", "w") as stream:
                    stream.write("*\n")
            return home, os.open(home + "/lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            refused.append(f"{home}: {error.strerror}")
    raise SetUpError("\n  ".join(refused))


def build(root, name, settings, home, link):
    """Make the environment in a new folder, turn `link` to it, remove what was there before."""
    import shutil

    before = key(root, name, [*FILES, settings["lock"]])  # As they are before they are used.
    made = f"{settings['folder'] or home}/made/{name}"
    os.makedirs(made, exist_ok=True)
    folder = f"{made}/{os.urandom(6).hex()}"
    try:
        uv = find_uv(root, settings, home)
        install(root, settings, uv, find_python(root, settings, uv), folder)
        library, packages = output_of([folder + "/bin/python", "-I", "-c", SITES]).splitlines()
        os.symlink(os.path.dirname(library), folder + "/stdlib")
        with open(packages + "/primer.pth", "w") as stream:  # ASCII: read in any locale.
            paths = [os.fsencode(f"{root}/{path}") for path in settings["paths"]]
            stream.write(f"import os, sys; sys.path += map(os.fsdecode, {paths!a})\n")
        with open(folder + "/stamp", "w", encoding="utf-8") as stream:
            stream.write(before + identity(folder))
        if os.path.isdir(link) and not os.path.islink(link):
            shutil.rmtree(link)  # A copy of a checkout that followed links.
        if os.path.lexists(link + ".new"):
            os.remove(link + ".new")
        os.symlink(folder if settings["folder"] else folder[len(home) + 1 :], link + ".new")
        os.replace(link + ".new", link)
    finally:
        current = os.path.basename(os.path.realpath(link))
        for old in os.listdir(made):
            if old != current:
                shutil.rmtree(f"{made}/{old}", ignore_errors=True)


def install(root, settings, uv, python, folder):
    """Make `folder` an environment with what the lock file names, by uv or else by pip."""
    import shutil

    lock, inside, said = settings["lock"], folder + "/bin/python", []
    making, filling = f"making an environment of {python}", f"installing {lock}"
    if uv:
        venv = [uv, "venv", "--no-project", "--python", python, folder]
        fill = [uv, "pip", "install", "--python", inside, "--compile-bytecode"]
        fill += ["--require-hashes", "-r", lock]
        if run(root, making, venv, said) and run(root, filling, fill, said):
            return
        shutil.rmtree(folder, ignore_errors=True)
    venv, fill = [python, "-I", "-m", "venv", folder], [inside, *PIP_INSTALL, lock]
    making, filling = making + " by pip", filling + " by pip"
    if not (run(root, making, venv, said) and run(root, filling, fill, said)):
        tools = "uv or pip" if uv else "pip, and there is no uv"
        raise SetUpError("\n  ".join([f"`{lock}` cannot be installed by {tools}", *said]))


def find_uv(root, settings, home):
    """A uv that runs: from PATH, fetched before, or fetched from the package index; None without."""
    import shutil

    own = home + "/uv"
    for uv in (shutil.which("uv"), own + "/bin/uv"):
        if uv and output_of([uv, "--version"]):
            return uv
    for python, _ in interpreters() if settings["uv"] else ():
        if output_of([python, "-I", "-m", "pip", "--version"]):
            shutil.rmtree(own, ignore_errors=True)  # A kill may have left half of it.
            fetch = [python, *PIP_INSTALL, settings["uv"], "--only-binary=:all:", "--target", own]
            return own + "/bin/uv" if run(root, "fetching uv", fetch, []) else None
    return None


def find_python(root, settings, uv):
    """The base interpreter of the first candidate that runs and fits, downloaded if none does."""
    wanted, said = settings["python"], []
    for last in (not (uv and settings["download"]), True):
        for python, version in interpreters():
            if version and fits(version, wanted):
                return python
        download = [uv, "python", "install", wanted]
        if last or not run(root, f"downloading Python {wanted}", download, said):
            break
    tried = [f"{at}: {version or 'fails'}" for at, version in dict(interpreters()).items()]
    raise SetUpError(
        "\n  ".join([f"no Python here is {wanted}; install one. Tried:", *tried, *said])
    )


def interpreters():
    """Pairs of a base interpreter and its version, found by running it; None if it does not start."""
    import glob
    import re

    places = [getattr(sys, "_base_executable", "") or sys.executable]
    folders = [folder for folder in os.environ.get("PATH", "").split(":") if os.path.isabs(folder)]
    folders += ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
    for name in ["python3", *(f"python3.{minor}" for minor in range(30, 7, -1)), "python"]:
        places += [f"{folder}/{name}" for folder in folders]
    trees = [f[:-6] + "/versions" for f in folders if f.endswith("/shims")]
    trees += [(os.environ.get("PYENV_ROOT") or "~/.pyenv") + "/versions"]
    by_uv = (os.environ.get("XDG_DATA_HOME") or "~/.local/share") + "/uv/python"
    for versions in [*trees, os.environ.get("UV_PYTHON_INSTALL_DIR") or by_uv]:
        found = glob.glob(glob.escape(os.path.expanduser(versions)) + "/*/bin/python3")
        places += sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)])[::-1]
    for place in dict.fromkeys(places):
        if os.access(place, os.X_OK):
            lines = output_of([place, "-E", "-s", "-c", PROBE]).splitlines()
            yield lines if len(lines) == 2 else (place, None)


def tool_variables():
    """The caller's variables for a tool, which shall not look elsewhere than it is told."""
    import re

    kept = {name: value for name, value in os.environ.items() if not re.match(FOREIGN, name)}
    return {**kept, "XDG_CACHE_HOME": cache_folder()}


def output_of(command):
    """What a short command prints, or an empty text when it fails."""
    import subprocess

    quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": tool_variables()}
    try:
        return os.fsdecode(subprocess.check_output(command, timeout=PROBE_SECONDS, **quiet))
    except (OSError, subprocess.SubprocessError):
        return ""


def run(root, what, command, said):
    """Run a tool, telling `what` it does; whether it succeeded. If not, `said` gets its last words."""
    import itertools
    import subprocess

    say(what)
    out = 2 if os.environ.get("PRIMER_VERBOSE") else subprocess.PIPE
    spin = sys.stderr.isatty() and out != 2
    streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, cwd=root, env=tool_variables(), **streams)
    try:
        for mark in itertools.cycle([b"\r|", b"\r/", b"\r-", b"\r\\"]):
            try:
                output = process.communicate(timeout=0.1)[0]
                break
            except subprocess.TimeoutExpired:
                os.write(2, mark if spin else b"")
    finally:
        process.kill()
        os.write(2, b"\r \r" if spin else b"")
    if process.returncode:
        said.append(f"{' '.join(command)}: exit code {process.returncode}")
        said += ["  " + line for line in os.fsdecode(output or b"").strip().splitlines()[-15:]]
    return process.returncode == 0


def say(text):
    """Tell people one thing, on standard error."""
    if sys.stderr:  # None where the caller closed it
        print(f"primer: {text}", file=sys.stderr, flush=True)


def explain(root, name):
    """Print as JSON which environment there is, what of its key differs, which Pythons are here."""
    import json

    settings = configuration(root, name)
    homes = [f"{home}/{name}" for home in homes_of(root)]
    environment = ([home for home in homes if os.path.exists(home + "/stamp")] or homes)[0]
    stamp = (read(environment + "/stamp") or "").splitlines()
    now = key(root, name, [*FILES, settings["lock"]]) + identity(environment)
    document = {
        "environment": environment,
        "fresh": is_fresh(root, name, environment),
        "changed": [line.split("\t")[0] for line in now.splitlines() if line not in stamp],
        "chain": [sys.executable, environment + "/bin/python"],
        "interpreters": {"wanted": settings["python"], "here": dict(interpreters())},
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    start(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:], moved=sys.argv[1] == "moved")
