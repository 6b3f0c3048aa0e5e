#!/usr/bin/env bash
# A root of its own for whoever runs this in namespaces of its own for mounts and processes: all that is written there goes with it.
# root.sh FOLDER TREE PACKAGES PROGRAM: an empty folder, this tree, what its tests have installed, what to run as root.

set -euo pipefail

folder=$1 root=$1/root
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/tree" "$root/packages"
mount --bind -o ro "$2" "$root/tree"
mount --bind -o ro "$3" "$root/packages"
exec chroot "$root" "$4"
