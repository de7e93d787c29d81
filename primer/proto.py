"""The first half of the primer: from a bare checkout to the project's own code.

An entry script, `./app`, runs this file with the environment's own Python, or else any from 3.8 on:
    python -I primer/proto.py start MAIN ENVIRONMENT SCRIPT [ARGUMENT...]
    python -I primer/proto.py boot STATES ENVIRONMENT SCRIPT [GOAL...]

1. Running in the environment, and the stamp in it equals the key: call MAIN (`package.module:function`)
   in this process, or reach goals among the states of the module STATES. Nothing else happens.
2. Otherwise, under a lock: find a Python that fits by running candidates, install the lock file with
   uv (or pip) into a new folder, write the stamp last, and turn the link `.primer/ENVIRONMENT` to it
   with one rename. A kill at any instant leaves the old link; the next start begins anew.
3. Replace this process by the environment's Python, once; it arrives at 1.

The key is the checkout's path, the configuration, the lock file and the base interpreter's identity.
`primer.json` configures, and `primer.local.json` overrides it on one machine:
    python        the versions that fit: ">=3.12", ">=3.12,<3.15", "==3.12.*"
    environments  name -> {"lock": hashed requirements, pylock.toml or uv.lock, "paths": folders to
                  import from, "groups" and "extras": those wanted of a uv.lock}
    folder        where to make environments instead of in `.primer`
    download      whether uv may download a Python when none fits; true unless set
    uv            hashed requirements file with uv alone, to fetch it where it is not on PATH
PRIMER_REBUILD=1 makes the environment anew, PRIMER_EXPLAIN=1 prints the state as JSON and stops,
PRIMER_VERBOSE=1 shows what the tools say; MAIN sees none of these variables.
"""

import os
import sys

if sys.version_info < (3, 8):  # The syntax below is that of 3.6, so that more can say this.
    sys.exit("primer: Python 3.8 or newer is needed, and this is " + sys.version.split()[0])

LAYOUT = 2  # Raise it when environments made by an older proto.py must be made anew.
WINDOWS = os.name == "nt"  # Without exec and links: a child, and a file that says where.
PYTHON = "/Scripts/python.exe" if os.name == "nt" else "/bin/python"
FILES = ["primer.json", "primer.local.json"]
OPTIONS = {"python": ">=3.8", "environments": {}, "folder": "", "download": True, "uv": ""}
OWN_OPTIONS = {"lock": "", "paths": [], "groups": [], "extras": []}
SWITCHES = ["PRIMER_REBUILD", "PRIMER_EXPLAIN", "PRIMER_VERBOSE"]
PROBE_SECONDS = 20  # A version manager's shim takes up to a second on a busy machine.
PROBE = "import sys; print(getattr(sys, '_base_executable', sys.executable), *sys.version_info[:3])"
SITES = "import os, sysconfig as s; print(os.__file__, s.get_path('purelib'), sep='\\0', end='')"
PIP_INSTALL = ["-I", "-m", "pip", "install", "--retries=1", "--no-deps", "--require-hashes", "-r"]
FOREIGN = (  # Variables of a caller's shell that would turn a tool to another environment.
    "PYTHON|VIRTUAL_ENV|CONDA_PREFIX|__PYVENV|PIP_(USER|TARGET|PREFIX|ROOT|PYTHON|CONSTRAINT|REQUIRE)"
    "|UV_(PYTHON|PROJECT|SYSTEM_PYTHON|LOCKED|CONSTRAINT|OVERRIDE|WORKING_DIR(ECTORY)?)$"
)


class SetUpError(Exception):
    """The environment cannot be made: what is wrong in one line, then details."""


def start(main, *call):
    """Call `main`, `package.module:function`, in the environment. Does not return."""
    enter("start", main, *call)
    module, _, function = main.partition(":")
    __import__(module)
    sys.exit(getattr(sys.modules[module], function)())


def boot(states, *call):
    """Reach goals among the states of a module, in the environment. Does not return."""
    root, switches = enter("boot", states, *call)
    __import__("kedge.primer.boot")  # `kedge` has to be in the environment's lock file.
    sys.exit(sys.modules["kedge.primer.boot"].main(states, root, *switches))


def enter(helper, what, name, script, arguments, moved):
    """Return in the environment while it is fresh; else make it ready and go on there."""
    environment = Environment(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), name)
    rebuild, explain, verbose = (bool(os.environ.get(variable)) for variable in SWITCHES)
    try:
        fresh = environment.is_fresh(sys.prefix)
        if explain or rebuild or not fresh:
            import_more()
        if explain:
            explain = environment.explanation()
            if helper == "start" or not fresh:
                sys.exit(print(json.dumps(explain, indent=2)))
        elif not fresh or (rebuild and not moved):
            if moved:
                raise SetUpError(f"files of `{name}` changed while it was made; start again")
            command = [environment.ready(rebuild) + PYTHON, "-I", os.path.realpath(__file__)]
            command += [helper + "+moved", what, name, script, *arguments]
            if not WINDOWS:
                os.execv(command[0], command)
            signal.signal(signal.SIGINT, lambda *_: None)  # The child is told as well, and decides.
            sys.exit(subprocess.call(command))
    except (SetUpError, OSError) as error:
        say(f"error: {error}")
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
    for variable in SWITCHES:
        os.environ.pop(variable, None)
    sys.argv = [script, *arguments]
    return environment.root, (rebuild, verbose, explain or None)


def import_more():
    """Import what only the slow path needs, and see which variables its tools may have."""
    global difflib, glob, json, locks, re, shutil, signal, subprocess, time, VARIABLES
    import difflib, glob, json, re, shutil, signal, subprocess, time  # noqa: E401, I001

    locks = __import__("msvcrt" if WINDOWS else "fcntl")
    VARIABLES = {name: value for name, value in os.environ.items() if not re.match(FOREIGN, name)}


class Environment:
    """One of a checkout, kept in the `.primer` there or, if that cannot be written, in the cache."""

    def __init__(self, root, name):
        self.root, self.name, self.inside = root, name, os.path.splitdrive(root)[1]
        cache = os.path.abspath(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
        self.homes = [root + "/.primer", f"{cache}/primer{self.inside}/.primer"]

    def is_fresh(self, folder):
        """Whether the stamp in `folder` equals the key as it is now."""
        stamp = read(folder + "/stamp") or ""  # It names its files, between its other lines.
        files = [line.split("\t")[0] for line in stamp.splitlines()[3:-1]]
        return stamp == self.key(files) + self.interpreter(folder)

    def key(self, files):
        """A line for each part but the interpreter: its name and what it is now."""
        parts = [("layout", LAYOUT), ("checkout", os.fsencode(self.root)), ("name", self.name)]
        parts += [(file, read(os.path.join(self.root, file))) for file in files]
        return "".join(f"{part}\t{value!a}\n" for part, value in parts)

    @staticmethod
    def interpreter(folder):
        """The key's last line: the base interpreter of an environment, if that is still whole."""
        base = os.path.realpath(folder + PYTHON)
        try:
            if WINDOWS:  # A program of the environment's own, which starts the one it was made of.
                home = (read(folder + "/pyvenv.cfg") or "").partition("home = ")[2]
                base = os.path.join(home.partition("\n")[0], os.path.basename(base))
            else:
                os.stat(folder + "/stdlib/os.py")
            status = os.stat(base)
        except OSError:
            return "python\tgone\n"
        return f"python\t{os.fsencode(base)!a} {status.st_size} {status.st_mtime_ns}\n"

    def place(self, home):
        """Where in `home` it is, if it is there: a link to it, or what a file says."""
        return (WINDOWS and read(f"{home}/{self.name}.path")) or f"{home}/{self.name}"

    def settings(self):
        """The options of primer.json, and beside them its own."""
        options = {**OPTIONS, **OWN_OPTIONS}
        for file in FILES:
            try:
                given = json.loads(read(os.path.join(self.root, file)) or "{}")
                options.update(checked(file, given, OPTIONS))
            except (ValueError, RecursionError) as error:
                raise SetUpError(f"{file} is not JSON: {error}") from None
        if self.name not in options["environments"]:
            raise SetUpError(f"primer.json has no environment `{self.name}`; add it there")
        where = f"primer.json, environment `{self.name}`"
        options.update(checked(where, options["environments"][self.name], OWN_OPTIONS))
        text = read(os.path.join(self.root, options["lock"]))
        if text is None or re.search(r"(?m)^\s*(-r|-c|--requirement|--constraint)", text):
            wrong = "there is no" if text is None else "other files are included in the"
            raise SetUpError(f"{where}: {wrong} lock file `{options['lock']}`")
        if options["folder"]:  # It may be other checkouts' as well.
            elsewhere = os.path.join(self.root, os.path.expanduser(options["folder"]))
            options["folder"] = elsewhere + self.inside
        return options

    def ready(self, rebuild):
        """Where it is, fresh: made now unless it is there or another start makes it."""
        for home in self.homes:
            if not rebuild and self.is_fresh(self.place(home)):
                return self.place(home)
        for home in self.homes:
            try:
                os.makedirs(home, exist_ok=True)
                if read(home + "/.gitignore") != "*\n":
                    write(home + "/.gitignore", "*\n")
                lock = os.open(home + "/lock", os.O_RDWR | os.O_CREAT, 0o644)
                break
            except OSError as error:
                if home == self.homes[1]:
                    raise SetUpError(f"{error}; set XDG_CACHE_HOME, where to make it") from None
        try:
            if not taken(lock):
                say(f"waiting for another start, which holds {home}/lock")
                while not taken(lock):
                    time.sleep(0.1)
            if rebuild or not self.is_fresh(self.place(home)):
                self.make(home)
        finally:
            os.close(lock)
        return self.place(home)

    def make(self, home):
        """Make it in a new folder, turn the link to that, remove all but the one before."""
        before = self.key([*FILES, self.settings()["lock"]])
        settings = self.settings()  # Read again after the key: nothing older than that is used.
        made = f"{settings['folder'] or home}/made/{self.name}"
        folder = f"{made}/{os.urandom(6).hex()}"
        kept = [os.path.basename(os.path.realpath(self.place(home)))]  # Somebody may run in it.
        if os.path.exists(self.place(home) + "/stamp"):
            changed = self.changed(settings["lock"], self.place(home))
            say(f"changed: {', '.join(changed) or 'nothing'}")
        os.makedirs(made, exist_ok=True)
        try:
            self.install(settings, home, folder)
            library, packages = output_of([folder + PYTHON, "-I", "-c", SITES]).split("\0")
            paths = [os.fsencode(os.path.abspath(f"{self.root}/{at}")) for at in settings["paths"]]
            line = f"import os, sys; sys.path += map(os.fsdecode, {paths!a})\n"  # In any locale.
            write(packages + "/primer.pth", line)
            link, new = f"{home}/{self.name}", folder + "/link"
            if WINDOWS:
                write(new, folder)
            else:
                os.symlink(os.path.dirname(library), folder + "/stdlib")
                os.symlink(os.path.relpath(os.path.realpath(folder), os.path.realpath(home)), new)
            write(folder + "/stamp", before + self.interpreter(folder))
            shutil.rmtree(link, ignore_errors=True)  # A folder if a copy has followed links.
            os.replace(new, link + (".path" if WINDOWS else ""))
            kept.append(os.path.basename(folder))
        finally:
            for old in set(os.listdir(made)).difference(kept):
                shutil.rmtree(f"{made}/{old}", ignore_errors=True)

    def install(self, settings, home, folder):
        """Make `folder` a virtual environment with what the lock file names, by uv or else by pip."""
        lock, inside, said = settings["lock"], folder + PYTHON, []
        uv = find_uv(self.root, settings["uv"], home, said)
        python = find_python(self.root, settings, uv)
        fill = [inside, *PIP_INSTALL, lock]
        if uv and os.path.basename(lock) == "uv.lock":
            VARIABLES["UV_PROJECT_ENVIRONMENT"] = folder
            fill = [uv, "sync", "--frozen", "--no-install-project", "--no-default-groups"]
            fill += ["--project", os.path.dirname(os.path.join(self.root, lock))]
            fill += [f"--group={group}" for group in settings["groups"]]
            fill += [f"--extra={extra}" for extra in settings["extras"]]
        elif uv:
            fill = [uv, "pip", "install", "--require-hashes", "-r", lock]
        fill += ["--python", inside, "--compile-bytecode"] if uv else []
        venv = [python, "-I", "-m", "venv", folder, *(["--without-pip"] if uv else [])]
        steps = (f"making an environment of {python}", venv), (f"installing {lock}", fill)
        if not all(run(self.root, *step, said) for step in steps):
            by = uv or "pip, and there is no uv"
            raise SetUpError("\n  ".join([f"`{lock}` cannot be installed by {by}", *said]))

    def changed(self, lock, place):
        """The parts of the key that are not as the stamp of an environment says."""
        stamp = (read(place + "/stamp") or "").splitlines()
        now = self.key([*FILES, lock]) + self.interpreter(place)
        return [line.split("\t")[0] for line in now.splitlines() if line not in stamp]

    def explanation(self):
        """Which environment there is, which parts of its key differ, which Pythons are here."""
        settings = self.settings()
        place = max(map(self.place, self.homes), key=lambda place: os.path.exists(place + "/stamp"))
        return {
            "environment": place,
            "fresh": self.is_fresh(place),
            "key": ["layout", "checkout", "name", *FILES, settings["lock"], "python"],
            "changed": self.changed(settings["lock"], place),
            "chain": [sys.executable, place + PYTHON, os.path.realpath(place + PYTHON)],
            "interpreters": {"wanted": settings["python"], "here": dict(interpreters())},
            "states": None,
        }


def taken(lock):
    """Take a lock, which ends with the process that has it; False while another one has it."""
    try:
        if WINDOWS:
            locks.locking(lock, locks.LK_NBLCK, 1)
        else:
            locks.flock(lock, locks.LOCK_EX | locks.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def checked(where, given, known):
    """`given`, an object all of whose keys are known, with values of the same types."""
    if not isinstance(given, dict):
        raise SetUpError(f"{where}: {given!r} is not an object")
    for option, value in given.items():
        if option not in known:
            near = difflib.get_close_matches(option, known, 1) or sorted(known)
            raise SetUpError(f"{where}: there is no option `{option}`, but `{'`, `'.join(near)}`")
        texts = value if isinstance(value, list) else [value]
        if type(value) is not type(known[option]) or not "".join(map(str, texts)).isprintable():
            raise SetUpError(f"{where}: `{option}` is {value!r}, and not like {known[option]!r}")
    return given


def fits(version, wanted):
    """Whether a version is what `wanted` asks for; a clause's last numbers may be left out."""
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


def find_uv(root, lock, home, said):
    """A uv that runs: from PATH, fetched before, or fetched from the package index; None without."""
    own = home + "/uv"
    for uv in (shutil.which("uv"), own + "/bin/uv"):
        if uv and output_of([uv, "--version"]):
            return uv
    for python, _ in interpreters() if lock else ():
        if output_of([python, "-I", "-m", "pip", "--version"]):
            shutil.rmtree(own, ignore_errors=True)  # A kill may have left half of it.
            fetch = [python, *PIP_INSTALL, lock, "--only-binary=:all:", "--target", own]
            return own + "/bin/uv" if run(root, "fetching uv", fetch, said) else None
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
    said[:0] = [f"{at}: {version or 'fails'}" for at, version in dict(interpreters()).items()]
    raise SetUpError("\n  ".join([f"no Python here is {wanted}; install one. Tried:", *said]))


def interpreters():
    """Pairs of a base interpreter and its version, found by running it; None if it does not start."""
    places = [getattr(sys, "_base_executable", "") or sys.executable]
    folders = [one for one in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(one)]
    folders += ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
    for name in ["python3", *(f"python3.{minor}" for minor in range(30, 7, -1)), "python"]:
        places += [f"{folder}/{name}{'.exe' if WINDOWS else ''}" for folder in folders]
    by_uv = (os.environ.get("XDG_DATA_HOME") or "~/.local/share") + "/uv/python"
    trees = [os.environ.get("UV_PYTHON_INSTALL_DIR") or by_uv]
    trees += [(os.environ.get("PYENV_ROOT") or "~/.pyenv") + "/versions"]
    for versions in trees + [f[:-6] + "/versions" for f in folders if f.endswith("/shims")]:
        found = glob.glob(glob.escape(os.path.expanduser(versions)) + "/*/bin/python3")
        places += sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)])[::-1]
    for place in dict.fromkeys(places):
        if os.access(place, os.X_OK):
            told = output_of([place, "-E", "-s", "-c", PROBE]).rsplit(None, 3)
            yield (os.path.realpath(told[0]), ".".join(told[1:])) if told[3:] else (place, None)


def output_of(command):
    """What a short command prints, or an empty text when it fails."""
    quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": VARIABLES}
    try:
        return os.fsdecode(subprocess.check_output(command, timeout=PROBE_SECONDS, **quiet))
    except (OSError, subprocess.SubprocessError):
        return ""


def run(root, what, command, said):
    """Run a tool, telling `what` it does; whether it succeeded. If not, `said` gets its last words."""
    say(what)
    shown = sys.stderr and (os.environ.get("PRIMER_VERBOSE") or sys.stderr.isatty())
    streams = {"stdin": subprocess.DEVNULL, "stdout": 2 if shown else subprocess.PIPE}
    ended = subprocess.run(command, cwd=root, env=VARIABLES, stderr=subprocess.STDOUT, **streams)
    if ended.returncode:
        last = os.fsdecode(ended.stdout or b"").strip().splitlines()[-15:]
        said.append("\n    ".join([f"{' '.join(command)}: exit code {ended.returncode}", *last]))
    return not ended.returncode


def say(text):
    """Tell people one thing, on standard error."""
    if sys.stderr:  # None where the caller closed it
        print(f"primer: {text}", file=sys.stderr, flush=True)


def read(path):
    """The text of a file, or None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return None


def write(path, text):
    """Write a file."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


if __name__ == "__main__":
    helper, _, moved = sys.argv[1].partition("+")
    {"start": start, "boot": boot}[helper](*sys.argv[2:5], sys.argv[5:], bool(moved))
