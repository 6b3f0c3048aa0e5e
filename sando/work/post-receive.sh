# Tells sandod that the branch moved, and the pusher what came of it. A push is never hurt by it:
# it exits 0 always and takes 2 s at most, unless the pusher asked to follow (`git push -o follow`).
# Your own hook belongs into post-receive.local beside this file, which is run first.
# Once this file is edited, sandod leaves it alone; removed, it comes back at the next start.

url=@URL@
branch=@BRANCH@
here=${0%/*}
LC_ALL=C
export LC_ALL

# The lines "old new ref" of stdin; `pushed` is the new sha of the branch, empty when it did not move or is gone.
lines='' pushed=''
while read -r old new ref; do
    lines="$lines$old $new $ref
"
    if [ "$ref" = "refs/heads/$branch" ]; then
        case $new in
        *[!0]*) pushed=$new ;;
        esac
    fi
done

for own in "$here"/post-receive.local "$here"/post-receive.local[2-9]; do
    if [ -f "$own" ] && [ -x "$own" ]; then
        printf %s "$lines" | "$own" "$@"
    fi
done

[ -n "$pushed" ] || exit 0

token='' header=''
if [ -r "$here/../sando/hook-token" ]; then
    read -r token <"$here/../sando/hook-token"
    header="header = \"Authorization: Bearer $token\""
fi

say() {
    printf 'sando: %s\n' "$1"
}

# fetch METHOD PATH SECONDS: the answer's body, and behind it " HTTP=" with its status (000: no answer).
# With 0 seconds the body alone, for as long as it takes.
fetch() {
    if command -v curl >/dev/null 2>&1; then
        curl_fetch "$@"
    elif command -v python3 >/dev/null 2>&1; then
        python_fetch "$@"
    fi
}

# The token comes on stdin: an argument would be seen by everybody on the machine.
curl_fetch() {
    curl -q -s -K - --noproxy '*' --connect-timeout 1.5 --max-time "$3" -X "$1" "$url$2" <<END
$header
write-out = " HTTP=%{http_code}"
$([ "$1" = GET ] || printf '%s\n' 'header = "Content-Type: application/json"' 'data = "{\"moved\": true}"')
END
}

python_fetch() {
    SANDO_HOOK_TOKEN=$token python3 -I -c '
import http.client, os, sys, threading
from urllib.parse import urlsplit

method, url, seconds = sys.argv[1], urlsplit(sys.argv[2]), float(sys.argv[3])

def fetch():
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    link = kind(url.hostname, url.port, timeout=seconds or None)
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    if os.environ.get("SANDO_HOOK_TOKEN"):
        headers["Authorization"] = "Bearer " + os.environ["SANDO_HOOK_TOKEN"]
    path = (url.path or "/") + ("?" + url.query if url.query else "")
    try:
        link.request(method, path, b"{\"moved\": true}" if method == "POST" else None, headers)
        answer = link.getresponse()
        for piece in iter(lambda: answer.read1(65536), b""):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        status = answer.status
    except (OSError, ValueError, http.client.HTTPException):
        status = 0
    if seconds:
        print(" HTTP=%03d" % status, flush=True)

worker = threading.Thread(target=fetch, daemon=True)
worker.start()
worker.join(seconds or None)
os._exit(0)
' "$1" "$url$2" "$3"
}

# What JSON writes with a backslash, as one character each that no answer has: its control characters are taken out.
slash=$(printf '\001') quote=$(printf '\002') feed=$(printf '\003')

# ask METHOD PATH SECONDS: sets `answer` (one line) and `code`.
ask() {
    answer=$(fetch "$@" 2>/dev/null | head -c 65536 | tr -d '\000-\037\177' |
        sed -e 's/\\\\/'"$slash"'/g' -e 's/\\"/'"$quote"'/g' -e 's/\\n/'"$feed"'/g' -e 's/\\[rt]/ /g' -e 's/\\\//\//g')
    code=${answer##* HTTP=}
    case $code in
    [0-9][0-9][0-9]) answer=${answer% HTTP=*} ;;
    *) code=000 ;;
    esac
}

# field KEY: sets `value` to the first value of that key in `answer`, empty when it has none or null; of a text its first line.
field() {
    value=''
    case $answer in
    *"\"$1\":"*) value=${answer#*"\"$1\":"} ;;
    esac
    value=${value#"${value%%[! ]*}"}
    case $value in
    '"'*) value=${value#?} value=${value%%'"'*} && plain ;;
    *) value=${value%%[!0-9]*} ;;
    esac
}

# plain: the first line of `value`, with its quotes and backslashes. Nothing here runs it: it is printed as it is.
plain() {
    value=${value%%"$feed"*}
    case $value in
    *["$slash$quote"]*) value=$(printf %s "$value" | tr '\001\002' '\\"') ;;
    esac
}

# short SHA: sets `value` to its first seven digits.
short() {
    value=${1%"${1#???????}"}
}

later='the push is safe, and is built as soon as sandod can'

tell() {
    field sha
    case $value in
    '' | *[!0-9a-f]*) value=$pushed ;;
    esac
    short "$value"
    sha=$value
    field id
    id=$value
    field status
    status=$value
    field version
    version=$value
    field detail
    case $code in
    000) say "sandod does not answer at $url; $later" ;;
    401 | 403) say "sandod refuses the hook ($code); the push is safe, see $here/../sando/hook-token" ;;
    2??)
        case $answer in
        *'"already_built"'*)
            # Also a quick build that was over before this asked: its output is there for who wants to follow.
            say "$sha is built already${version:+ ($version)}"
            ;;
        *) tell_build ;;
        esac
        ;;
    503) say "sandod did not take $sha: ${value:-HTTP $code}; $later" ;;
    *) say "sandod did not take $sha: ${value:-HTTP $code}" ;;
    esac
}

tell_build() {
    case $id:$status in
    :*) say "what answers at $url is not sandod; the push is safe" ;;
    *:queued) say "build $id of $sha is queued; the build before it is being stopped" ;;
    *:running)
        say "build $id of $sha started" ;;
    *) say "build $id of $sha${status:+: $status}" ;;
    esac
}

wants_to_follow() {
    count=0
    while [ "$count" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
        eval "option=\$GIT_PUSH_OPTION_$count"
        [ "$option" != follow ] || return 0
        count=$((count + 1))
    done
    return 1
}

# The log until it ends, then the outcome; `wait` holds the answer until there is one.
follow() {
    if command -v curl >/dev/null 2>&1; then
        curl -q -s -f -N -K - --noproxy '*' "$url/operations/$id/log?follow=1&visible=1" <<END
$header
END
    else
        python_fetch GET "/operations/$id/log?follow=1&visible=1" 0
    fi
    while
        ask GET "/operations/$id?wait=30" 40
        field status
        status=$value
        [ "$status" = running ] || [ "$status" = queued ]
    do
        sleep 1
    done
    field error
    error=$value
    field superseded_by
    next=$value
    field version
    case $code:$status in
    2??:succeeded) say "build $id of $sha succeeded${value:+: $value}" ;;
    2??:superseded) say "build $id of $sha was superseded${next:+ by build $next}" ;;
    2??:?*) say "build $id of $sha ${status}${error:+: $error}" ;;
    *) say "sandod does not answer any more; the build goes on or is taken up when it starts" ;;
    esac
}

if ! command -v curl >/dev/null 2>&1 && ! command -v python3 >/dev/null 2>&1; then
    say "neither curl nor python3 is here to tell sandod; the push is safe and will be built within a minute"
    exit 0
fi
ask POST /rebuild 1.7
tell
if [ -n "$id" ] && [ "${code#2}" != "$code" ] && wants_to_follow; then
    follow
fi
exit 0
