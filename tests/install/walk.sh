#!/usr/bin/env bash
# The whole life of an installation, in the root that root.sh makes; test_install.py reads what each part says.

set -euo pipefail

say() { echo "== $*"; }
cd /
say install; /tree/contrib/systemd/install
say modes; stat -c '%a %U:%G %n' /var/lib/sando /var/lib/sando/git /var/lib/sando/.ssh /var/lib/sando/.ssh/authorized_keys \
    /etc/sando /etc/sando/daemon.toml /etc/sando/sando.toml /etc/sando/credentials
getent passwd sando
say again; sed -i 's/^# \[build\]/[build]\ncommand = "echo built > app; chmod +x app"\nartifact = "app"\nversion_from = "VERSION"\ndir = "."/' /etc/sando/sando.toml
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i "s/7766/$port/" /etc/sando/daemon.toml
before=$(cat /etc/sando/*.toml | sha256sum)
/tree/contrib/systemd/install
[ "$before" = "$(cat /etc/sando/*.toml | sha256sum)" ] && echo "configuration: untouched"

say service
(cd / && exec setpriv --reuid sando --regid sando --init-groups env -i HOME=/var/lib/sando SHELL=/bin/sh PYTHONPATH=/packages \
    SANDO_CONFIG=/etc/sando/daemon.toml /opt/sando/current/bin/sandod) 2>/tmp/log &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; cat /tmp/log >&2' EXIT
until [ -e /var/lib/sando/git/app.git/hooks/post-receive ]; do kill -0 "$pid"; sleep 0.05; done
# What sshd does with a push: the user's login shell gets git's command.
cat > /tmp/ssh <<'END'
#!/bin/bash
while [ "$1" != sando@here ]; do shift; done
shell=$(getent passwd sando | cut -d: -f7)
cd /var/lib/sando
exec setpriv --reuid sando --regid sando --init-groups env -i HOME=/var/lib/sando PATH=/usr/bin:/bin "$shell" -c "$2"
END
chmod 755 /tmp/ssh
git init -q -b main /tmp/app; cd /tmp/app; echo 1.0 > VERSION; git add .
git -c user.name=x -c user.email=x@example.org commit -qm first
GIT_SSH_COMMAND=/tmp/ssh git push -q -o follow sando@here:git/app.git main 2>&1
cd /
readlink /usr/local/bin/sandod
cat /var/lib/sando/releases/1.0/app
kill "$pid"; wait "$pid"; trap - EXIT
! /tmp/ssh sando@here "id" || echo "a shell was given"

say upgrade
first=$(readlink /opt/sando/current)
mkdir /tmp/newer
for name in setup.py pyproject.toml README.md LICENSE contrib/ /tree/*/__init__.py; do
    name=${name#/tree/}
    cp -r "/tree/${name%/*}" /tmp/newer/
done
echo '__version__ = "9.9.9"' >> /tmp/newer/sando/__init__.py
sed -i '/^\[Service\]/a Nice=1' /tmp/newer/contrib/systemd/sandod.service
unit=/etc/systemd/system/sandod.service
of_unit() { echo "the unit is of $(grep -q '^Nice=1' "$unit" && echo the new || echo the old)"; }
echo "# a line of one's own" >>"$unit"
/tmp/newer/contrib/systemd/install

say failing # a systemd that runs, and in which the new version does not start
mkdir -p /run/systemd/system
cat >/usr/local/bin/systemctl <<'END'
#!/bin/sh
echo "systemctl $*: sandod is $(readlink /opt/sando/current | grep -c "$FIRST" | sed 's/0/new/; s/1/old/')"
[ "$1" != restart ] || grep -q "${FIRST##*/}" <<X
$(readlink /opt/sando/current)
X
END
chmod 755 /usr/local/bin/systemctl
! FIRST=$first /tmp/newer/contrib/systemd/install --upgrade 2>&1
rm -r /run/systemd/system /usr/local/bin/systemctl
[ "$(readlink /opt/sando/current)" = "$first" ] && echo "the old one is current"
of_unit
tail -n 1 "$unit.before"

say back
/tmp/newer/contrib/systemd/install --back
/usr/local/bin/sandod --version
[ "$(readlink /opt/sando/previous)" = "$first" ] && echo "the former one is kept"
of_unit

say broken
echo 'broken = 1' >>/etc/sando/daemon.toml
now=$(readlink /opt/sando/current)
! /tmp/newer/contrib/systemd/install --back 2>&1
[ "$(readlink /opt/sando/current)" = "$now" ] && echo "still the same"
sed -i '/^broken/d' /etc/sando/daemon.toml

say uninstall; /tree/contrib/systemd/install --uninstall; ls /var/lib/sando /etc/sando; ls -d /opt/sando /usr/local/bin/sandod /etc/systemd/system/sandod.service 2>&1 || true
say purge; /tree/contrib/systemd/install --uninstall --purge; ls -d /var/lib/sando /etc/sando 2>&1 || true; getent passwd sando || echo "no user"
