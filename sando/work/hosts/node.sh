# What sando does on a node. It is read once, by the shell that sando keeps open there; each call is one function.
# POSIX sh with the usual tools, of GNU or BusyBox. `root` is the release root, set before any of these is called.
# An answer is lines of `@key value`; every other line is what a tool said, and is told when the call fails.

incoming=$root/.sando/incoming lists=$root/.sando/lists trash=$root/.sando/trash deadman=$root/.sando/deadman
tab=$(printf '\t')
detach=
if command -v setsid >/dev/null 2>&1; then detach=setsid; fi

say() { printf '@%s %s\n' "$1" "$2"; }
die() { printf '%s\n' "$*" >&2 && exit 1; }

# What this node can do. A tool that is missing is named; only zstd, gzip and setsid can be done without.
hello() {
    for tool in cat chmod cp df find head kill ln mkdir mv readlink rm sha256sum sleep stat tail tar xargs; do
        command -v "$tool" >/dev/null 2>&1 || say lacks "$tool"
    done
    for tool in gzip setsid zstd; do
        command -v "$tool" >/dev/null 2>&1 && say has "$tool"
    done
    command -v zstd >/dev/null 2>&1 && zstd -H 2>&1 | grep -q -e --patch-from && say has patch-from
    say clock "$(date +%s)"
    say user "$(id -un 2>/dev/null || id -u)"
}

is_folder() { [ -d "$1" ] && [ ! -L "$1" ]; }

# A folder of sando's own, made when missing; one that is a link is refused, never followed.
folder() { # MODE PATH
    [ ! -L "$2" ] || die "unexpected link: $2 has to be a folder; remove the link"
    [ -d "$2" ] || mkdir -m "$1" "$2" || die "cannot make $2"
}

folders() {
    is_folder "$root/releases" && is_folder "$incoming" && is_folder "$lists" && is_folder "$trash" && return
    [ -d "$root" ] || mkdir -p "$root" || die "cannot make $root; make it, and give it to $(id -un)"
    [ -w "$root" ] || die "cannot write in $root; give it to $(id -un)"
    folder 755 "$root/releases"
    folder 700 "$root/.sando"
    for name in "$incoming" "$lists" "$trash"; do
        folder 700 "$name"
    done
}

# -- what is there ------------------------------------------------------------------------------------------------

current() {
    if [ -L "$root/current" ]; then
        link=$(readlink "$root/current")
        say link "$link"
        [ ! -L "$root/releases" ] || say shelf link
        is_folder "$root/releases/${link##*/}" || say dangling "$link"
    elif [ -d "$root/current" ]; then
        say foreign "a folder"
    elif [ -e "$root/current" ]; then
        say foreign "a file"
    fi
}

releases() {
    [ ! -L "$root/releases" ] || die "unexpected link: $root/releases has to be a folder; remove the link"
    for name in "$root"/releases/*; do
        ! is_folder "$name" || say release "${name##*/}"
    done
}

# Whether a release is as it was built: STATE is what `state` has to print for its files. STAMP is what the last full
# look left in the controller's memory: while no listed file has another inode, size, mode or time, that look holds.
check() { # VERSION STATE STAMP
    release=$root/releases/$1 list=$lists/$1
    [ ! -L "$root/releases" ] && [ ! -L "$release" ] || { say wrong "it is reached through a link" && return; }
    [ -d "$release" ] || { say wrong "it is not there" && return; }
    [ -f "$release/manifest.json" ] || { say wrong "it has no manifest.json" && return; }
    cd "$release" || die "cannot enter $release"
    [ -f "$list" ] || { say needs list && return; }
    stamp=$(stamp "$list")
    [ "$stamp" = "$3" ] || [ "$(state "$list")" = "$2" ] || { say needs look && return; }
    say stamp "$stamp"
}

# One digest over mode, size, name and content of every listed file, and one over what changes when they do.
state() { { xargs -0 stat -c '%f %s %n' -- <"$1" && xargs -0 sha256sum -- <"$1"; } 2>/dev/null | digest; }
stamp() { xargs -0 stat -c '%i %s %f %y' -- <"$1" 2>/dev/null | digest; }
digest() { sha256sum | { read -r sum _ && printf %s "$sum"; }; }

# Every file by itself, for the sentence that says what is wrong.
details() { # VERSION
    cd "$root/releases/$1" || die "cannot enter $root/releases/$1"
    say output "of each file"
    xargs -0 stat -c 'mode %f %s %n' -- <"$lists/$1" 2>/dev/null
    xargs -0 sha256sum -- <"$lists/$1" 2>/dev/null
    return 0
}

# The manifest that lies in a release itself.
manifest() { # VERSION
    release=$root/releases/$1
    [ ! -L "$root/releases" ] && [ ! -L "$release" ] || { say wrong "it is reached through a link" && return; }
    [ -d "$release" ] || { say wrong "it is not there" && return; }
    [ -f "$release/manifest.json" ] || { say wrong "it has no manifest.json" && return; }
    say output "of the manifest"
    cat "$release/manifest.json"
}

# Releases on which an upload may be built: what runs first, then by age.
bases() {
    is_folder "$root/releases" || return 0
    link=$(readlink "$root/current")
    [ -z "$link" ] || ! is_folder "$root/releases/${link##*/}" || say release "${link##*/}"
    ls -t "$root/releases" | while read -r name; do
        ! is_folder "$root/releases/$name" || say release "$name"
    done
}

# -- room, tools, rights ------------------------------------------------------------------------------------------

prepare() { # KIB INODES
    folders
    : >"$incoming/.try" || die "cannot write in $root/.sando; make room there, or give it to $(id -un)"
    [ -w "$root" ] && [ -w "$root/releases" ] || die "cannot write in $root; give it to $(id -un)"
    [ "$1" -gt 0 ] || return 0
    one=$(stat -c %d "$root" "$root/releases" "$root/.sando" | sort -u | wc -l)
    [ "$one" -eq 1 ] || die "$root/releases, $root/.sando and $root have to be on one file system"
    try_links
    free=$(df -Pk "$root" | tail -n 1 | while read -r _ _ _ free _; do echo "$free"; done)
    say free "$free"
    inodes=$(df -Pi "$root" 2>/dev/null | tail -n 1 | while read -r _ _ _ free _; do echo "$free"; done)
    say inodes "${inodes:--}"
}

try_links() {
    try=$incoming/try-$$
    rm -rf "$try" && mkdir "$try" && ln -s releases "$try/new" && ln -s .sando "$try/old" || die "cannot make a link in $root"
    mv -T "$try/new" "$try/old" && [ "$(readlink "$try/old")" = releases ] || die "this node's mv has no -T: install coreutils or BusyBox"
    printf '#!/bin/sh\n' >"$try/run" && chmod 755 "$try/run" || die "cannot write in $root"
    [ -x "$try/run" ] || die "$root is mounted noexec: nothing in it can be started; mount it without"
    rm -rf "$try"
}

# -- current ------------------------------------------------------------------------------------------------------

is_foreign() {
    [ -L "$root/current" ] || { [ -e "$root/current" ] && return 0 || return 1; }
    [ ! -L "$root/releases" ] || return 0
    case $(readlink "$root/current") in
    releases/*/* | "$root"/releases/*/*) return 0 ;;
    releases/* | "$root"/releases/*) return 1 ;;
    *) return 0 ;;
    esac
}

# The new link in one step, then read back. A foreign `current` is put aside first: nothing is ever lost. What comes
# after FORCE arms the dead-man switch before.
switch() { # VERSION OPERATION FORCE [SECONDS FORMER RESTART...]
    kept=$root/current.kept-$2 beside=$incoming/current-$2-$$ moved=''
    is_folder "$incoming" || folders
    if is_foreign; then
        [ -n "$3" ] || { current && return; }
    fi
    if [ $# -gt 3 ]; then
        wanted=$1 number=$2 force=$3
        shift 3
        arm "$number" "$wanted" "$@"
        set -- "$wanted" "$number" "$force"
    fi
    if is_foreign; then
        [ ! -e "$kept" ] && [ ! -L "$kept" ] || die "$kept is there already: move it away, or $root/current"
        if [ -L "$root/current" ]; then
            ln -s "$(readlink "$root/current")" "$kept" || die "cannot keep $root/current"
        else
            mv -T "$root/current" "$kept" && moved=1 || die "cannot keep $root/current"
        fi
        say kept "${kept##*/}"
    fi
    ln -s "releases/$1" "$beside" && mv -T "$beside" "$root/current" || {
        rm -f "$beside"
        [ -z "$moved" ] || [ -e "$root/current" ] || mv -T "$kept" "$root/current"
        die "cannot switch $root/current"
    }
    found=$(readlink "$root/current")
    [ "$found" = "releases/$1" ] || die "$root/current names $found right after it was switched to releases/$1: who else writes it?"
}

# Back to no `current`, or to what `switch` of this operation put aside.
unlink_current() { # OPERATION
    kept=$root/current.kept-$1
    [ -L "$root/current" ] || [ ! -e "$root/current" ] || die "$root/current is no link any more: left alone"
    if [ -L "$kept" ]; then
        mv -T "$kept" "$root/current" || die "cannot put $kept back"
    else
        rm -f "$root/current" || die "cannot remove $root/current"
        [ ! -e "$kept" ] || mv -T "$kept" "$root/current" || die "cannot put $kept back"
    fi
}

# -- releases come and go -----------------------------------------------------------------------------------------

# An empty place for a release; what nobody finished within a day is swept.
stage() { # OPERATION
    folders
    find "$incoming" -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {} +
    rm -rf "${incoming:?}/$1" && mkdir -m 700 "$incoming/$1" && mkdir -m 755 "$incoming/$1/tree"
}

# From the stream to a release: SIZE bytes of HOW on stdin are unpacked, what BASE has is linked, patches are applied,
# everything is hashed, and only then it gets its name.
receive() { # OPERATION SIZE HOW VERSION BASE STATE
    at=$incoming/$1 tree=$incoming/$1/tree
    stage "$1" || die "cannot make room for the upload in $incoming"
    say ready "$2"
    head -c "$2" | unpack "$3" "$at" || die "the upload could not be unpacked in $at"
    [ -z "$5" ] || reuse "$at" "$root/releases/$5" || { say needs "all of it: $5 here is not what it was" && return; }
    cd "$tree" || die "cannot enter $tree"
    [ "$(state "$at/list")" = "$6" ] || { say needs "all of it: sha256 differs after the upload" && return; }
    place "$at" "$4"
}

# All of the stream is read, come what may: what is left of it would be taken for the next call.
unpack() { # HOW FOLDER
    case $1 in
    zstd) zstd -dcq --long=31 --memory=2048MB | tar -xpf - -C "$2" ;;
    gzip) gzip -dcq | tar -xpf - -C "$2" ;;
    *) tar -xpf - -C "$2" ;;
    esac
    unpacked=$?
    cat >/dev/null
    return $unpacked
}

reuse() { # STAGED BASE
    ( cd "$2" && xargs -0 sh -c '[ $# -eq 0 ] || exec cp -pl --parents -- "$@" "$0"' "$1/tree" <"$1/same" ) 2>/dev/null ||
        ( cd "$2" && xargs -0 sh -c '[ $# -eq 0 ] || exec cp -p --parents -- "$@" "$0"' "$1/tree" <"$1/same" ) || return 1
    while IFS="$tab" read -r was path; do
        ln "$2/$was" "$1/tree/$path" 2>/dev/null || cp -p "$2/$was" "$1/tree/$path" || return 1
    done <"$1/moved"
    while IFS="$tab" read -r number mode path; do
        zstd -dqf --long=31 --memory=2048MB --patch-from="$2/$path" "$1/patch/$number" -o "$1/tree/$path" || return 1
        chmod "$mode" "$1/tree/$path" || return 1
    done <"$1/patches"
}

place() { # STAGED VERSION
    target=$root/releases/$2
    [ ! -e "$target" ] && [ ! -L "$target" ] || discard "$2"
    mv -T "$1/list" "$lists/$2" && mv -T "$1/tree" "$target" || die "cannot place $2 in $root/releases"
    say stamp "$(cd "$target" && stamp "$lists/$2")"
    rm -rf "$1"
    ( sync "$target" >/dev/null 2>&1 & )
}

# The list of a release that came here some other way.
take_list() { # VERSION SIZE
    folders
    say ready "$2"
    head -c "$2" >"$lists/$1" || die "cannot write $lists/$1"
}

# Renamed away first: half a release is never seen under its name.
discard() { # VERSION
    folders
    mv -T "$root/releases/$1" "$trash/$1-$$" || die "cannot remove releases/$1"
    rm -f "$lists/$1"
    rm -rf "${trash:?}"/* 2>/dev/null || die "releases/$1 is out of the way, but $trash cannot be emptied"
}

remove() { # VERSION
    [ "$(readlink "$root/current")" != "releases/$1" ] || die "releases/$1 is what current names"
    is_folder "$root/releases" && is_folder "$root/releases/$1" || die "releases/$1 is no release of this node"
    discard "$1"
}

# -- commands of the team -----------------------------------------------------------------------------------------

# COMMAND to its end: `pid` at once, then how it ended, how much it said, and the last of that. Its output goes to a
# file, never into the connection: a service that it leaves running would die of the connection's end. It has a
# session of its own, so that all of it can be ended. With SECONDS it is killed then, whatever became of sando.
run() { # NUMBER SECONDS FOLDER COMMAND...
    out=$root/.sando/out-$1 seconds=$2 folder=$3
    shift 3
    { : >"$out"; } 2>/dev/null || out=/dev/null
    cd "$folder" || die "cannot enter $folder"
    $detach "$@" >"$out" 2>&1 </dev/null &
    pid=$!
    say pid "$pid"
    if [ -n "$seconds" ]; then
        { sleep "$seconds"; signal KILL "$pid"; } >/dev/null 2>&1 </dev/null &
    fi
    wait "$pid"
    say status $?
    [ -f "$out" ] || return 0
    say size "$(stat -c %s "$out")"
    say output "of the command"
    tail -c 262144 "$out"
    rm -f "$out"
}

# What it has said meanwhile, from OFFSET on.
peek() { # NUMBER OFFSET
    say output "so far"
    tail -c "+$(($2 + 1))" "$root/.sando/out-$1" 2>/dev/null | head -c 65536
}

signal() { kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" -- "$2" 2>/dev/null; }

finish() { # PID SECONDS
    signal TERM "$1"
    turns=$(($2 * 5))
    while [ "$turns" -gt 0 ] && signal 0 "$1"; do
        sleep 0.2
        turns=$((turns - 1))
    done
    signal KILL "$1"
    return 0
}

# -- the dead-man switch ------------------------------------------------------------------------------------------

# From now on, in SECONDS, this node goes back to FORMER (none: to no `current`) by itself, unless `claim` comes first:
# both rename one file, so exactly one of them wins. RESTART is what is run after the way back.
arm() { # OPERATION VERSION SECONDS FORMER RESTART...
    operation=$1 version=$2 seconds=$3 former=$4
    shift 4
    folder 700 "$deadman"
    rm -f "$deadman/$operation".*
    : >"$deadman/$operation.armed" || die "cannot arm the dead-man switch in $deadman"
    {
        trap '' HUP
        sleep "$seconds"
        mv -T "$deadman/$operation.armed" "$deadman/$operation.fired" || exit 0
        if [ "$(readlink "$root/current")" = "releases/$version" ]; then
            back "$operation" "$former" "$@"
        fi
        : >"$deadman/$operation.done"
    } >/dev/null 2>&1 </dev/null &
}

back() { # OPERATION FORMER RESTART...
    if [ -z "$2" ]; then
        unlink_current "$1"
        return
    fi
    switch "$2" "$1" 1
    cd "$root/releases/$2" || return
    shift 2
    [ $# -eq 0 ] || "$@"
}

claim() { # OPERATION
    if mv -T "$deadman/$1.armed" "$deadman/$1.claimed" 2>/dev/null; then
        say claim ours
    elif [ -e "$deadman/$1.done" ]; then
        say claim fired
    elif [ -e "$deadman/$1.fired" ]; then
        say claim firing
    else
        say claim none
    fi
}
