#!/bin/sh
# Runs @TARGET@ in this checkout's environment; primer/proto.py says how.
primer_self=$0
case $primer_self in */*) ;; *) primer_self=./$primer_self ;; esac
while [ -h "$primer_self" ]; do
    primer_link=$(readlink -- "$primer_self")
    case $primer_link in /*) primer_self=$primer_link ;; *) primer_self=${primer_self%/*}/$primer_link ;; esac
done
primer_root=${primer_self%/*}
set -- @HELPER@ @TARGET@ @ENVIRONMENT@ "$0" "$@"

# The environment's own Python, if it and its standard library are there.
primer_home=$primer_root/.primer/@ENVIRONMENT@
[ -e "$primer_home/stdlib/os.py" ] ||
    primer_home=${XDG_CACHE_HOME:-${HOME:-}/.cache}/primer$(CDPATH= cd -P -- "$primer_root/" && pwd)/.primer/@ENVIRONMENT@
if [ -z "${PRIMER_REBUILD:-}" ] && [ -e "$primer_home/stdlib/os.py" ] && [ -x "$primer_home/bin/python" ]; then
    exec "$primer_home/bin/python" -I "$primer_root/primer/proto.py" "$@"
fi

# Else the first Python from 3.8 on that runs; it finds the one that fits and makes the environment.
primer_tried=
for primer_python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python \
    /usr/local/bin/python3 /usr/bin/python3 "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/bin/python3 \
    "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/uv/python}"/*/bin/python3; do
    primer_found=$("$primer_python" -I -c 'import sys; sys.version_info < (3, 8) and sys.exit(1); print(sys.executable)' \
        </dev/null 2>/dev/null) && exec "$primer_found" -I "$primer_root/primer/proto.py" "$@"
    primer_tried="$primer_tried $primer_python"
done
printf "%s\n" "primer: error: no Python 3.8 or newer starts here; tried:$primer_tried" >&2
exit 3
