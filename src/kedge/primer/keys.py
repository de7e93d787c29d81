"""The key of a state: all that decides whether it has to be reached anew, one line a part.

python <TAB> cpython-314                     compiled code differs between versions
source <TAB> #0; (0, 0, …)                   kedge.primer.source
need <TAB> node_modules <TAB> 5f2c…          the digest of another state's key
input <TAB> 'web/src/app.ts' <TAB> file 9a…  kedge.primer.inputs
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

Parts = dict[tuple[str, ...], str]


def key_of(source: str, needs: "Mapping[str, str]", contents: str) -> str:
    """The key, as text.

    Args:
        source: of the state's function.
        needs: digests of the keys of what it needs, by name.
        contents: lines that say what its inputs hold.
    """
    needed = "".join(f"need\t{name}\t{digest}\n" for name, digest in needs.items())
    return f"python\t{sys.implementation.cache_tag}\nsource\t{source}\n{needed}{contents}"


def digest_of(key: str) -> str:
    """A short name for a key."""
    import hashlib

    return hashlib.sha256(key.encode()).hexdigest()


def differences(before: str, now: str, stale: "frozenset[str] | set[str]") -> list[str]:
    """In which parts two keys differ, each as a sentence.

    Args:
        before: the key with which the state was reached.
        now: the key that it has.
        stale: states that are to be reached anew themselves.
    """
    old, new = parts(before), parts(now)
    reasons = []
    python = ("python",)
    if old.get(python) != new.get(python):
        new["source",] = old.get(("source",), "")  # compiled by another Python, it always differs
    for part in {**new, **old}:
        if old.get(part) != new.get(part):
            how = "is new" if part not in old else "is gone" if part not in new else "changed"
            reasons.append(sentence(part, how, stale))
    return reasons


def parts(key: str) -> Parts:
    """The parts of a key by kind and name."""
    found: Parts = {}
    for line in key.split("\n")[:-1]:
        *part, value = line.split("\t")
        found[tuple(part)] = value
    return found


def sentence(part: tuple[str, ...], how: str, stale: "frozenset[str] | set[str]") -> str:
    """One difference in words."""
    kind, *name = part
    if kind == "input":
        import ast

        return f"input `{ast.literal_eval(name[0])}` {how}"
    if kind == "need":
        if how == "changed":
            return f"`{name[0]}` {'is stale' if name[0] in stale else 'was reached anew'}"
        return f"it {'needs' if how == 'is new' else 'no longer needs'} `{name[0]}` now"
    return "Python changed" if kind == "python" else "its source changed"
