# Makes and keeps `.venv`, the virtual environment of this tree; it installs nothing anywhere else. Sourced, not run.
# make_environment ROOT [EXTRA] leaves its interpreter in ENV_PYTHON, or ends the script with what is missing.
# install_log is pip's output while it runs; whoever is interrupted removes it.

missing() {
    printf '%s\n' "$@" >&2
    exit 1
}

# find_python: sets PYTHON to one that is 3.11 or newer and can make environments.
find_python() {
    local name found='' bare=''
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        command -v "$name" >/dev/null 2>&1 || continue
        found="$found $("$name" -c 'import platform; print(platform.python_version())' 2>/dev/null || true)"
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        bare=$name
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            PYTHON=$(command -v "$name")
            return
        fi
    done
    if [ -n "$bare" ]; then
        missing "$bare cannot make virtual environments: its modules venv and ensurepip are missing." \
            "Debian and Ubuntu: apt-get install python3-venv"
    fi
    missing "sando needs Python 3.11 or newer; found:${found:- none}." \
        "Debian 12, Ubuntu 24.04 and newer: apt-get install python3 python3-venv; Fedora: dnf install python3; else https://www.python.org/downloads/"
}

make_environment() {
    local root=$1 extra=${2:-} folder=$1/.venv why
    ENV_PYTHON=$folder/bin/python
    if why=$(environment_lacks "$root" "$extra"); then
        return
    fi
    find_python
    if [ -e "$folder" ] && [ ! -f "$folder/pyvenv.cfg" ] && [ -n "$(ls -A "$folder")" ]; then
        missing "$folder is there and is no virtual environment: move it away."
    fi
    if ! { mkdir -p "$folder" && [ -w "$folder" ] && [ -w "$root" ]; } 2>/dev/null; then
        missing "cannot write $folder as user $(id -un): sando is installed into the folder that it was cloned to." \
            "Clone it into a folder of your own, and run it there."
    fi
    [ ! -e "$folder/pyvenv.cfg" ] || echo "installing again into .venv: $why"
    install_into "$root" "$folder" "${extra:+[$extra]}"
    why=$(environment_lacks "$root" "$extra") || missing "$folder is still not good: $why. Remove it and try again."
}

# Answers 0 when the environment is good, else 1 and says why.
environment_lacks() {
    [ -x "$ENV_PYTHON" ] || { echo "there is none" && return 1; }
    "$ENV_PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        { echo "its Python does not run, or is older than 3.11" && return 1; }
    "$ENV_PYTHON" -I "$1/contrib/quickstart/installed.py" "$1" ${2:+"$2"} 2>&1
}

# Editable, so that a later `git pull` is what runs.
install_into() {
    local root=$1 folder=$2 extra=$3 log
    install_log=$(mktemp "${TMPDIR:-/tmp}/sando-install.XXXXXX")
    log=$install_log
    echo "installing sando$extra into .venv ($("$PYTHON" --version 2>&1)) ..."
    if ! "$ENV_PYTHON" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        ! "$PYTHON" -m venv --clear "$folder" >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        missing "$PYTHON cannot make $folder (above). Debian and Ubuntu: apt-get install python3-venv"
    fi
    if ! (cd "$root" && "$ENV_PYTHON" -m pip install --quiet --disable-pip-version-check -e ".$extra") >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        missing "pip could not install sando (above; all of it is in $log)." \
            "It downloads from https://pypi.org: without a way there, set HTTPS_PROXY, or PIP_INDEX_URL to a mirror."
    fi
    rm -f "$log"
}
