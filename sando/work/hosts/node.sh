# What sando does on a node. It is read once, by the shell that sando keeps open there; each call is one function.
# POSIX sh with the usual tools, of GNU or BusyBox. `root` is the release root, set before any of these is called.
# An answer is lines of `@key value`; every other line is what a tool said, and is told when the call fails.
#
# The node's clock matters in one place only: leftovers that are an hour old by it are swept. A clock that is wrong sweeps
# them late, or sweeps what nobody needs any more.

incoming=$root/.sando/incoming lists=$root/.sando/lists trash=$root/.sando/trash deadman=$root/.sando/deadman
tools='cat chmod cp env find head id kill ln mkdir mv readlink rm sh sha256sum sleep stat tail tar xargs'
tab=$(printf '\t') line_feed='
'
detach=
if command -v setsid >/dev/null 2>&1; then detach=setsid; fi

# One rename, where `ln` does it itself (GNU's since 8.27); any other one takes a second process for it.
relink=
case $(ln --version 2>/dev/null) in
*"(GNU coreutils) "[5-7].* | *"(GNU coreutils) 8."[0-9][!0-9]* | *"(GNU coreutils) 8.1"[0-9]* | *"(GNU coreutils) 8.2"[0-6]*) ;;
*"(GNU coreutils) "[1-9]*) relink=1 ;;
esac

# What hashes files; asked for once, by a shell that stays. openssl uses the processor's own instructions for it, which the
# sha256sum of many systems does not: four times as fast. One that does not print what is expected of it is left alone.
hasher='sha256sum --'
choose_hasher() {
    has sed || return 0
    case $(openssl dgst -sha256 -r -- /dev/null 2>/dev/null) in
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 */dev/null") hasher='openssl dgst -sha256 -r --' ;;
    esac
}

# A call for a node whose `current` named KNOWN when sando saw it last: where it still does, no process is asked.
known=
at() { # KNOWN CALL...
    known=$1
    shift
    "$@"
}

say() { printf '@%s %s\n' "$1" "$2"; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# What this node can do. A tool that is missing is named; only zstd, gzip and setsid can be done without.
hello() {
    for tool in $tools; do
        has "$tool" || say lacks "$tool"
    done
    for tool in gzip setsid zstd; do
        ! has "$tool" || say has "$tool"
    done
    case $(zstd -H 2>&1) in
    *--patch-from*) say has patch-from ;;
    esac
    say user "$(id -un 2>/dev/null || id -u)"
}

# Before a call that cannot do without them: what comes of a missing program is no answer to anything.
needs() { # TOOL...
    for tool; do
        has "$tool" || die "this node lacks$(for tool in $tools; do
            has "$tool" || printf ' %s' "$tool"
        done); install what has it: coreutils, findutils and tar, or BusyBox"
    done
}

is_folder() { [ -d "$1" ] && [ ! -L "$1" ]; }

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

is_version() {
    case $1 in
    '' | [!0-9A-Za-z]* | *[!0-9A-Za-z.+_-]*) return 1 ;;
    esac
    [ ${#1} -le 64 ]
}

# A folder of sando's own, made when missing; one that is a link is refused, never followed.
folder() { # MODE PATH
    [ ! -L "$2" ] || die "unexpected link: $2 has to be a folder; remove the link"
    [ -d "$2" ] || mkdir -m "$1" "$2" || die "cannot make $2; give ${2%/*} to $(id -un)"
}

folders() {
    is_folder "$root/releases" && is_folder "$root/.sando" && is_folder "$incoming" && is_folder "$lists" &&
        is_folder "$trash" && return
    [ -d "$root" ] || mkdir -p "$root" || die "cannot make $root; make it, and give it to $(id -un)"
    folder 755 "$root/releases"
    for name in "$root/.sando" "$incoming" "$lists" "$trash"; do
        folder 700 "$name"
    done
}

# -- what is there ------------------------------------------------------------------------------------------------

# PATH without empty parts, `.` and `..`, in `straight`.
straighten() { # PATH
    straight='' rest=$1/
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/}
        case $part in
        '' | .) ;;
        ..) straight=${straight%/*} ;;
        *) straight=$straight/$part ;;
        esac
    done
}

# Where `current` leads, in `link`, and the version that it names, in `named`, which is empty where it leads elsewhere.
read_link() {
    link='' named=''
    [ -L "$root/current" ] || return 0
    if [ -n "$known" ] && is_folder "$root/releases/$known" && [ "$root/current" -ef "$root/releases/$known" ]; then
        link=releases/$known named=$known
        return 0
    fi
    link=$(readlink "$root/current")
    case $link in
    /*) target=$link ;;
    *) target=$root/$link ;;
    esac
    # A name that ends in line feeds has lost them, and is another one.
    [ ! -e "$root/current" ] || [ "$root/current" -ef "$target" ] || link=$link$line_feed
    read_target
}

# As `named_by` of base.py does.
read_target() {
    named=''
    case $link in
    /*) straighten "$link" ;;
    *) straighten "$root/$link" ;;
    esac
    target=$straight
    straighten "$root"
    if [ "${target%/*}" = "$straight/releases" ] && is_version "${target##*/}"; then named=${target##*/}; fi
}

current() {
    if [ -L "$root/current" ]; then
        needs readlink
        read_link
        case $link in
        *"$line_feed"*) say foreign "a link to a name with a line feed" ;;
        *) say link "$link" ;;
        esac
        [ ! -L "$root/releases" ] || say shelf link
        [ -n "$named" ] && is_folder "$root/releases/$named" || say dangling "$named"
    elif [ -d "$root/current" ]; then
        say foreign "a folder"
    elif [ -e "$root/current" ]; then
        say foreign "a file"
    fi
}

releases() {
    [ ! -L "$root/releases" ] || die "unexpected link: $root/releases has to be a folder; remove the link"
    [ ! -d "$root/releases" ] || [ -r "$root/releases" ] || die "cannot read $root/releases; give it to $(id -un)"
    for name in "$root"/releases/*; do
        ! is_folder "$name" || ! is_version "${name##*/}" || say release "${name##*/}"
    done
}

# Whether there is such a release; what is wrong is said.
is_release() { # VERSION
    if [ -L "$root/releases" ] || [ -L "$root/releases/$1" ]; then
        say wrong "it is reached through a link"
    elif [ ! -d "$root/releases/$1" ]; then
        say wrong "it is not there"
    elif [ ! -f "$root/releases/$1/manifest.json" ]; then
        say wrong "it has no manifest.json"
    else
        return 0
    fi
    return 1
}

# Whether a release is as it was built: MODES and SUMS are what `modes` and `sums` have to print for its files.
#
# STAMP is what the last full look left in sando's memory, for as long as this connection lives. It stands for that look
# because nobody changes content, mode or name of a file without changing its inode or its ctime, which no `touch` and
# no `cp -p` sets back (an mtime they do). It is taken before the hashes: a change meanwhile shows at the next look.
# What it does not see is a disk that rots, a write past the file system, and a clock that was set back to hide one. The
# first look of each connection hashes everything.
check() { # VERSION MODES SUMS STAMP [FILE...]
    is_release "$1" || return 0
    needs sh sha256sum stat xargs
    [ -f "$lists/$1/files" ] && [ -f "$lists/$1/folders" ] || { say needs list && return; }
    version=$1 modes=$2 sums=$3 before=$4
    shift 4
    stamp=''
    [ $# -gt 0 ] || folders_stamp "$version"
    above=$stamp
    stamp "$version" "$@"
    { [ -n "$stamp" ] && [ "$stamp" = "$before" ]; } ||
        is_whole "$root/releases/$version" "$lists/$version" "$modes" "$sums" "$@" || { say needs look && return; }
    say stamp "$stamp"
    [ -z "$above" ] || say glance "$above"
    whole=1
}

# The same of a release of many files, in a hurry: its folders alone, against what the last full look found of them. Who
# adds, removes or replaces a file changes its folder; what was written into one that stands is found by the next check.
glance() { # VERSION STAMP
    is_release "$1" || return 0
    needs stat xargs
    folders_stamp "$1"
    [ "$stamp" = "$2" ] || { say needs look && return; }
    whole=1
}

# All that comes before a switch in one call: what runs, whether the release is there, whether anything can be written.
# Where it is not, what is there that it could be built on.
survey() { # check|glance ARGUMENT...
    whole=''
    current
    "$@"
    if [ -n "$whole" ]; then are_writable; else releases; fi
}

# Links are looked for first, then modes: nothing that stands in place of a file (a link, a FIFO) is ever opened.
is_whole() { # FOLDER LIST MODES SUMS [FILE...]
    cd "$1" || die "cannot enter $1"
    list=$2 wants=$3 content=$4
    shift 4
    [ -z "$(links "$list")" ] && [ "$(modes "$list" "$@")" = "$wants" ] && [ "$(sums "$list" "$@")" = "$content" ]
}

# One digest over mode, size and name of every listed file, one over the contents, one over what each change changes.
# The FILEs of the list, where the caller knows them, save the process that reads it.
modes() { # LIST [FILE...]
    listed=$1/files
    shift
    if [ $# -gt 0 ]; then stat -c '%f %s %n' -- "$@"; else over "$listed" stat -c '%f %s %n' --; fi 2>/dev/null | digest
}

sums() { # LIST [FILE...]
    listed=$1/files
    shift
    hashes "$listed" "$@" | digest
}

# In the words of sha256sum, whichever it was.
hashes() { # LIST [FILE...]
    listed=$1
    shift
    case $#$hasher in
    0openssl*) over "$listed" $hasher 2>/dev/null | sed 's/ \*/  /' ;;
    0*) over "$listed" $hasher 2>/dev/null ;;
    *openssl*) $hasher "$@" 2>/dev/null | while IFS= read -r line; do
        printf '%s  %s\n' "${line%% *}" "${line#* \*}"
    done ;;
    *) $hasher "$@" 2>/dev/null ;;
    esac
}

# In `stamp`: what changes with any listed file; as it is where there are few, since each process more costs a rollback
# a millisecond.
# The FILEs of the list, where the caller knows them, save the process that reads it.
stamp() { # VERSION [FILE...]
    stamp='' list=$lists/$1
    cd "$root/releases/$1" || return
    shift
    if [ $# -gt 0 ] && [ ! -s "$list/folders" ]; then
        found=$(stat -c '%i %f %s %y %z' -- "$@" 2>/dev/null)
    else
        found=$(links "$list"; over "$list/files" stat -c '%i %f %s %y %z' -- 2>/dev/null)
    fi
    short
}

# In `stamp`: what changes with any folder of a release, and with its manifest.
folders_stamp() { # VERSION
    stamp='' list=$lists/$1/folders
    [ -f "$list" ] && cd "$root/releases/$1" || return
    if [ -s "$list" ]; then
        found=$(xargs -0 stat -c '%i %f %y %z' -- . manifest.json <"$list" 2>/dev/null)
    else
        found=$(stat -c '%i %f %y %z' -- . manifest.json 2>/dev/null)
    fi
    short
}

# `found` as one word, in `stamp`.
short() {
    [ ${#found} -lt 6000 ] || found=$(printf %s "$found" | digest)
    set -f # a name may have a star in it
    set -- $found
    set +f
    between=$IFS IFS=,
    stamp=$*
    IFS=$between
}

digest() { sha256sum | { read -r sum _ && printf %s "$sum"; }; }

over() { # LIST COMMAND...
    over=$1
    shift
    [ ! -s "$over" ] || xargs -0 "$@" <"$over"
}

# Listed folders that are links: they lead out of the release.
links() { # LIST
    over "$1/folders" sh -c 'for path; do [ ! -L "$path" ] || printf "link %s\n" "$path"; done' sh
}

# Every file by itself, for the sentence that says what is wrong.
details() { # VERSION
    cd "$root/releases/$1" || die "cannot enter $root/releases/$1"
    say output "of each file"
    links "$lists/$1"
    over "$lists/$1/files" stat -c 'mode %f %s %n' -- 2>/dev/null
    over "$lists/$1/files" \
        sh -c 'for path; do [ -L "$path" ] || [ ! -f "$path" ] || printf "%s\0" "$path"; done' sh |
        xargs -0 sha256sum -- 2>/dev/null
    return 0
}

# The manifest that lies in a release itself.
manifest() { # VERSION
    is_release "$1" || return 0
    say output "of the manifest"
    cat "$root/releases/$1/manifest.json"
}

# -- room, tools, rights ------------------------------------------------------------------------------------------

are_writable() {
    folders
    for name in "$root" "$root/releases" "$root/.sando" "$incoming"; do
        [ -w "$name" ] || die "cannot write in $name; give it to $(id -un), or mount it writable"
    done
}

prepare() { # KIB [TRIED]
    needs $tools
    are_writable
    [ "$1" -gt 0 ] || return 0
    if [ -z "${2-}" ]; then
        is_one_disk "$root" "$root/releases" "$root/.sando" ||
            die "$root/releases, $root/.sando and $root have to be on one file system"
        try_out "$incoming/try-$$"
    fi
    ! has date || figure clock "$(date +%s)"
    room
    figure free "$free"
    figure inodes "$inodes"
}

# In `free` KiB, in `inodes` what is left of them; empty where a file system counts none (btrfs says that it has 0).
room() {
    free='' inodes=''
    set -- $(stat -f -c '%a %S %d %c' "$root" 2>/dev/null)
    [ $# -eq 4 ] || return 0
    free=$(($1 / 1024 * $2 + $1 % 1024 * $2 / 1024))
    [ "$4" = 0 ] || inodes=$3
}

figure() { # KEY NUMBER
    case $2 in
    '' | *[!0-9]*) ;;
    *) say "$1" "$2" ;;
    esac
}

is_one_disk() { # PATH...
    set -- $(stat -c %d -- "$@")
    for disk; do
        [ "$disk" = "$1" ] || return 1
    done
}

# Files, links, the rename of a link over a link, and a program that starts.
try_out() { # FOLDER
    try=$1
    trap 'rm -rf "$try"' 0
    rm -rf "$try"
    mkdir "$try" && ln -s releases "$try/new" && ln -s .sando "$try/old" || die "cannot make files in $root; make room there"
    mv -T "$try/new" "$try/old" && [ "$(readlink "$try/old")" = releases ] ||
        die "this node's mv has no -T: install coreutils or BusyBox"
    printf '#!/bin/sh\n' >"$try/run" && chmod 755 "$try/run" || die "cannot write in $root; make room there"
    "$try/run" || die "$root is mounted noexec: nothing in it can be started; mount it without"
}

# -- current ------------------------------------------------------------------------------------------------------

is_foreign() {
    [ -L "$root/current" ] || { [ -e "$root/current" ]; return; }
    [ ! -L "$root/releases" ] || return 0
    read_link
    [ -z "$named" ]
}

# The new link in one step, then read back. A foreign `current` is put aside first: nothing is ever lost. What comes
# after FORCE arms the dead-man switch before.
switch() { # VERSION OPERATION FORCE [SECONDS FORMER RESTART...]
    wanted=$1 number=$2 force=$3 kept=$root/current.kept-$2 beside=$incoming/current-$2-$$ foreign='' moved=''
    shift 3
    needs ln mkdir mv readlink rm
    folders
    is_folder "$root/releases/$wanted" || die "releases/$wanted is not there; current was left as it is"
    ! is_foreign || foreign=1
    [ -z "$foreign" ] || [ -n "$force" ] || { current; return; }
    settle
    me=''
    [ $# -eq 0 ] || arm "$number" "$wanted" "$@"
    ( point ) || {
        [ -z "$me" ] || claim "$number" >/dev/null
        exit 1
    }
    [ -z "$me" ] || is_in_time || arm "$number" "$wanted" "$@"
}

# The link, and the first look at what runs then, in one call.
switch_and_run() { # VERSION OPERATION FORCE NUMBER SECONDS FOLDER COMMAND...
    switch "$1" "$2" "$3"
    [ -z "$foreign" ] || [ -n "$force" ] || return 0
    shift 3
    run "$@"
}

point() {
    [ -z "$foreign" ] || put_aside
    if [ -n "$relink" ]; then
        ln -sfT "releases/$wanted" "$root/current"
    else
        ! is_there "$beside" || rm -f "$beside"
        ln -s "releases/$wanted" "$beside" && mv -T "$beside" "$root/current"
    fi || {
        rm -f "$beside"
        [ -z "$moved" ] || is_there "$root/current" || mv -T "$kept" "$root/current"
        die "cannot switch $root/current"
    }
    # Where the dead-man switch went off at once, the node is back already.
    [ "$root/current" -ef "$root/releases/$wanted" ] || { [ -n "$me" ] && [ ! -e "$me.armed" ]; } ||
        die "$root/current names $(readlink "$root/current") right after it was switched to releases/$wanted: who else writes it?"
}

put_aside() {
    if [ ! -L "$root/current" ]; then
        ! is_there "$kept" || die "$kept is there already: move it away, or $root/current"
        mv -T "$root/current" "$kept" && moved=1 || die "cannot keep $root/current"
    elif [ ! -L "$kept" ] || [ "$(readlink "$kept")" != "$(readlink "$root/current")" ]; then
        ! is_there "$kept" || die "$kept is there already: move it away, or $root/current"
        ln -s "$(readlink "$root/current")" "$kept" || die "cannot keep $root/current"
    fi
    say kept "${kept##*/}"
}

# Back to no `current`, or to what `switch` of this operation put aside. A link that somebody else made stays.
unlink_current() { # OPERATION
    needs mv rm
    kept=$root/current.kept-$1
    [ -L "$root/current" ] || [ ! -e "$root/current" ] || die "$root/current is no link any more: left alone"
    if [ -L "$kept" ]; then
        mv -T "$kept" "$root/current" || die "cannot put $kept back"
    elif ! is_foreign; then
        rm -f "$root/current" || die "cannot remove $root/current"
        [ ! -e "$kept" ] || mv -T "$kept" "$root/current" || die "cannot put $kept back"
    fi
}

# -- releases come and go -----------------------------------------------------------------------------------------

# A place for an upload, and what it may be built on. Each attempt has a place of its own: a process that was cut off
# may still be at work in the last one. None is made where VERSION is there already.
offer() { # OPERATION [VERSION]
    needs $tools
    folders
    read_link
    [ -z "$named" ] || say running "$named"
    if [ -n "${2-}" ] && is_there "$root/releases/$2"; then
        say there "$2"
        return
    fi
    for name in "$incoming/$1"-*; do
        ! is_there "$name" || throw "$name"
    done
    staged=$1-$$
    mkdir -m 700 "$incoming/$staged" && mkdir -m 755 "$incoming/$staged/tree" ||
        die "cannot make room for the upload in $incoming"
    say staged "$staged"
    releases
}

sweep() { # FOLDER [NAMES]
    find "$1" -mindepth 1 -maxdepth 1 -name "${2:-*}" -mmin +60 -exec rm -rf {} + 2>/dev/null
}

# What nobody finished, and the next upload sweeps. A name that is none of ours is not repeated.
leftovers() {
    [ ! -d "$incoming" ] || [ -L "$incoming" ] || find "$incoming" -mindepth 1 -maxdepth 1 -mmin +60 | while read -r at; do
        case ${at##*/} in
        *[!0-9A-Za-z._+-]* | '') say leftover '?' ;;
        *) say leftover "${at##*/}" ;;
        esac
    done
}

# From the stream to a release: SIZE bytes of HOW on stdin are unpacked, what BASE has is linked, patches are applied,
# everything is hashed, and only then it gets its name. Nothing is left of what failed. MANY: of BASE, nobody asks again.
receive() { # STAGED SIZE HOW VERSION BASE STAMP MODES SUMS MANY [FILE...]
    at=$incoming/$1
    take "$2" "$3" "$at"
    ( built "$@" ) && status=0 || status=1
    rm -rf "$at" "$incoming/placing-$1"
    return $status
}

built() { # STAGED SIZE HOW VERSION BASE STAMP MODES SUMS MANY [FILE...]
    [ -n "$unpacked" ] || room
    [ -n "$unpacked" ] || die "the upload could not be unpacked in $incoming; $free KiB are free there"
    linked=''
    [ -z "$5" ] || reuse "$root/releases/$5" "$5" "$6" "$9" ||
        { say needs "all of it: $5 here is not what it was" && return; }
    new=$4
    shift 6
    is_right "$@" || { say needs "all of it: sha256 differs after the upload" && return; }
    shift 3
    place "$new" "$@"
}

# What is `linked` is the very file that was hashed when it came here, and the stamp says that nobody has changed it
# since; what came now is hashed.
is_right() { # MODES SUMS MANY [FILE...]
    wants=$1 content=$2
    shift 3
    if [ -z "$linked" ]; then
        is_whole "$at/tree" "$at/list" "$wants" "$content" "$@"
        return
    fi
    cd "$at/tree" && [ "$(modes "$at/list" "$@")" = "$wants" ] &&
        [ "$(hashes "$at/fresh" | digest)" = "$(cat "$at/sum")" ]
}

# SIZE bytes of stdin into FOLDER; `unpacked` is set when that went well.
take() { # SIZE HOW FOLDER
    trap : PIPE # whoever should hear of it may be gone; what is done after is done all the same
    { took=$(
        say ready "$1" >&4
        { { head -c "$1" && echo read >&3; } | { unpack "$2" "$3" >&4 && echo unpacked >&3; }; } 3>&1
    ); } 4>&1
    unpacked=''
    case $took in
    *unpacked*) unpacked=1 ;;
    esac
    case $took in
    *read*) ;;
    *) rm -rf "$3" && die "the stream was cut short" ;;
    esac
}

# All of stdin is read, come what may.
unpack() { # HOW FOLDER
    case $1 in
    zstd) zstd -dcq --long=31 --memory=2048MB | tar -xpof - -C "$2" ;;
    gzip) gzip -dc | tar -xpof - -C "$2" ;;
    *) tar -xpof - -C "$2" ;;
    esac
    status=$?
    cat >/dev/null
    return $status
}

# Links and patches from what the node has. Where files cannot be linked they are copied, and then hashed as everything.
# Links change the ctime of BASE: a STAMP that held before is made anew.
reuse() { # FOLDER BASE STAMP MANY
    held=''
    [ -z "$3" ] || { stamp "$2"; [ "$stamp" != "$3" ]; } || held=1
    linked=$held
    cd "$1" || return 1
    over "$at/same" sh -c 'exec cp -pl --parents -- "$@" "$0"' "$at/tree" 2>/dev/null || {
        linked=''
        over "$at/same" sh -c 'exec cp -p --parents -- "$@" "$0"' "$at/tree"
    }
    while IFS=$tab read -r was path; do
        ln -- "./$was" "$at/tree/$path" 2>/dev/null || { linked='' && cp -p -- "./$was" "$at/tree/$path"; } || return 1
    done <"$at/moved"
    [ -z "$held" ] || [ -n "$4" ] || { stamp "$2" && say base "$stamp"; }
    while IFS=$tab read -r number mode path; do
        [ -f "./$path" ] || return 1
        patched "./$path" "$at/patch/$number" "$at/tree/$path" || return 1
        chmod "$mode" "$at/tree/$path" || return 1
    done <"$at/patches"
}

# Old file and new one are in memory for it: glibc, where it is recent, takes that in large pages, in half the time.
patched() { # OLD PATCH NEW
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 zstd -dqf --long=31 --memory=2048MB --patch-from="$1" "$2" -o "$3"
}

# Renamed before anything is replaced: a later attempt that has thrown it away meanwhile wins.
place() { # VERSION [FILE...]
    release=$root/releases/$1 placing=$incoming/placing-${at##*/}
    mv -T "$at" "$placing" || die "another attempt to upload $1 has begun"
    if is_there "$release"; then
        read_link
        [ "$named" != "$1" ] || ! is_folder "$release" || die "releases/$1 is what current names"
        discard "$1"
    fi
    ! is_there "$lists/$1" || rm -rf "${lists:?}/$1"
    mv -T "$placing/list" "$lists/$1" && mv -T "$placing/tree" "$release" || die "cannot place $1 in $root/releases"
    if [ -s "$lists/$1/folders" ]; then
        folders_stamp "$1"
        say glance "$stamp"
    fi
    stamp "$@"
    say stamp "$stamp"
    {
        sync -f "$release" || sync
        ! has_any "$incoming"/* || sweep "$incoming"
        ! has_any "$root"/.sando/out-* || sweep "$root/.sando" 'out-*'
    } >/dev/null 2>&1 </dev/null &
}

has_any() { is_there "$1"; } # FILE...: a pattern that names nothing stands for itself

# The list of a release that came here some other way.
take_list() { # VERSION SIZE
    at=$incoming/list-$$
    folders
    rm -rf "$at"
    mkdir -m 700 "$at"
    take "$2" plain "$at"
    rm -rf "${lists:?}/$1"
    [ -n "$unpacked" ] && mv -T "$at/list" "$lists/$1" && rm -rf "$at" && return
    rm -rf "$at"
    die "cannot write $lists/$1"
}

# Renamed away first: half a release is never seen under its name. What of earlier ones cannot be removed stays where it
# is out of the way.
discard() { # VERSION
    folders
    throw "$root/releases/$1" || die "cannot remove releases/$1"
    rm -rf "${lists:?}/$1"
    sweep "$trash"
    ! is_there "$thrown"
}

throw() { # PATH
    thrown=$trash/${1##*/}-$$
    while is_there "$thrown"; do
        thrown=$thrown-
    done
    mv -T "$1" "$thrown" || return 1
    wipe "$thrown"
    return 0
}

# Also what a service has closed to its owner.
wipe() { # PATH
    rm -rf "$1" 2>/dev/null && return
    find "$1" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null
    rm -rf "$1"
}

# OTHER releases share files with it, whose ctime changes: each STAMP that held before is made anew.
remove() { # VERSION [OTHER STAMP]...
    needs find mv readlink rm sha256sum stat xargs
    leaves=$1 hold=''
    shift
    read_link
    [ "$named" != "$leaves" ] || die "releases/$leaves is what current names"
    is_version "$leaves" && is_folder "$root/releases" && is_folder "$root/releases/$leaves" ||
        die "releases/$leaves is no release of this node"
    while [ $# -gt 1 ]; do
        stamp "$1"
        [ "$stamp" != "$2" ] || hold="$hold $1"
        shift 2
    done
    discard "$leaves" || die "releases/$leaves is out of the way, but not all of it in $trash can be removed"
    for name in $hold; do
        stamp "$name"
        say again "$name $stamp"
    done
}

# -- commands of the team -----------------------------------------------------------------------------------------

# COMMAND to its end: `pid` at once, then how it ended, how much it said, and the last of that. Its output goes to a
# file, never into the connection: a service that it leaves running would die of the connection's end. It has a
# session of its own, so that all of it can be ended. With SECONDS it is killed then, whatever became of sando.
run() { # NUMBER SECONDS FOLDER COMMAND...
    out=$root/.sando/out-$1 seconds=$2 folder=$3 killer=''
    [ -n "$seconds" ] || [ ! -d "$incoming" ] || out=$incoming/out-$$ # a probe: asked again and again, one after the other
    shift 3
    # An empty file fits on a full disk, and then each word that the command says is an error to it.
    { printf . >"$out" && printf '' >"$out"; } 2>/dev/null || { rm -f "$out" && out=/dev/null; }
    cd "$folder" || die "cannot enter $folder"
    trap : PIPE # whoever should hear of it may be gone
    $detach "$@" >"$out" 2>&1 </dev/null &
    pid=$!
    say pid "$pid"
    if [ -n "$seconds" ]; then
        kill_later >/dev/null 2>&1 </dev/null &
        killer=$!
    fi
    wait "$pid"
    status=$?
    [ -z "$killer" ] || kill "$killer" 2>/dev/null # the number may soon be another's
    say status "$status"
    [ -f "$out" ] || return 0
    if [ -s "$out" ]; then
        say size "$(stat -c %s "$out")"
        say output "of the command"
        tail -c 262144 "$out"
    fi
    [ "$out" = "$incoming/out-$$" ] || rm -f "$out"
}

# Whoever ends this before takes the sleep along.
kill_later() {
    sleeper=''
    trap '[ -z "$sleeper" ] || kill "$sleeper"; exit' TERM
    sleep "$seconds" &
    sleeper=$!
    wait "$sleeper"
    signal KILL "$pid"
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

# One file for each time that a switch was armed, OPERATION-COUNT.STATE, and a rename for each change of its state, so
# that of two who want to change it exactly one does, and a full disk hinders neither:
#   armed -> claimed           sando has it: the node does nothing by itself any more
#   armed -> fired             the time is over: the node puts the link back,
#            fired -> claimed  or finds nothing to put back: somebody else has changed `current`, or FORMER is gone
#            fired -> moved    the link is back, and RESTART runs
#                     moved -> ended
# A reboot ends what waits. Then the switch stays armed, and sando takes it over when it comes back to the node.

# From now on, in SECONDS, this node goes back to FORMER (none: to no `current`) by itself, unless `claim` comes first.
arm() { # OPERATION VERSION SECONDS FORMER RESTART...
    operation=$1 version=$2 seconds=$3 former=$4 count=1
    shift 4
    folders
    folder 700 "$deadman"
    sweep "$deadman"
    while was_armed "$deadman/$operation-$count"; do
        count=$((count + 1))
    done
    me=$deadman/$operation-$count
    rm -f "$me.back"
    [ -z "$former" ] || ln -s "releases/$former" "$me.back" || die "cannot arm the dead-man switch in $deadman"
    true >"$me.armed" || die "cannot arm the dead-man switch in $deadman"
    {
        trap '' HUP
        sleep "$seconds" || sleep "$((${seconds%%[!0-9]*} + 1))" || exit # where sleep knows whole seconds only
        mv -T "$me.armed" "$me.fired" || exit
        if ! goes_back; then
            mv -T "$me.fired" "$me.claimed"
            exit
        fi
        mv -T "$me.fired" "$me.moved"
        [ -z "$former" ] || [ $# -eq 0 ] || ( cd "$root/releases/$former" && "$@" )
        mv -T "$me.moved" "$me.ended"
    } >/dev/null 2>&1 </dev/null &
}

# A switch that took longer than SECONDS: the time was over when there was nothing to put back yet, or what was put back
# has been replaced by it.
is_in_time() {
    turns=50
    until [ -e "$me.moved" ] || [ -e "$me.ended" ] || [ -e "$me.claimed" ]; do
        [ ! -e "$me.armed" ] && [ "$turns" -gt 0 ] || return 0
        sleep 0.1
        turns=$((turns - 1))
    done
    ! [ "$root/current" -ef "$root/releases/$wanted" ]
}

was_armed() { # FILE
    for state in armed fired moved ended claimed; do
        [ ! -e "$1.$state" ] || return 0
    done
    return 1
}

goes_back() {
    read_link
    [ "$named" = "$version" ] || return 1
    if [ -z "$former" ]; then
        ( unlink_current "$operation" )
    else
        is_folder "$root/releases/$former" && mv -T "$me.back" "$root/current"
    fi
}

# States are looked for in their order: whatever they change to meanwhile is met further on.
claim() { # OPERATION
    count=1 answer=none
    while was_armed "$deadman/$1-$count"; do
        me=$deadman/$1-$count
        if [ -e "$me.armed" ] && mv -T "$me.armed" "$me.claimed" 2>/dev/null; then
            answer=ours
        elif [ -e "$me.fired" ] || [ -e "$me.moved" ]; then
            answer=firing
        elif [ -e "$me.ended" ]; then
            answer=fired
        else
            answer=ours
        fi
        count=$((count + 1))
    done
    say claim "$answer"
}

# Before this node is switched: whatever was armed for it is over, and what has begun is waited for. What has not ended
# by then was most likely cut off by a reboot.
settle() {
    [ -d "$deadman" ] || return 0
    leave armed
    turns=100
    while { any fired || any moved; } && [ "$turns" -gt 0 ]; do
        sleep 0.2
        turns=$((turns - 1))
    done
    leave fired
    leave moved
}

any() { # STATE
    for file in "$deadman"/*."$1"; do
        [ ! -e "$file" ] || return 0
    done
    return 1
}

leave() { # STATE
    for file in "$deadman"/*."$1"; do
        [ ! -e "$file" ] || mv -T "$file" "${file%."$1"}.claimed" 2>/dev/null
    done
    return 0
}
