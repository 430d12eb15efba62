#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# chroot.sh bookworm|trixie [COMMAND...] - runs the README's commands (or others) in a minimal
# Debian made by debootstrap. Needs root. Keeps the empty system in build/chroot/ for the next run,
# without the changes that the commands make.
set -eu
cd "$(dirname "$0")/.."
suite=$1
shift
if [ $# = 0 ]; then
	# the README's commands are the indented lines that begin with apt-get
	demo=$(sed -n 's/^    \(apt-get .*make demo\)$/\1/p' README.md)
	check=$(sed -n 's/^    \(apt-get .*make check\)$/\1/p' README.md)
	set -- "$demo" "$check"
fi

if [ "$(id -u)" != 0 ]; then
	echo "chroot.sh: only root can do this" >&2
	exit 1
fi
echo debootstrap | sh etc/demo/install-packages.sh /dev/stdin

# the Debian mirror of this machine
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)
empty=$PWD/build/chroot/$suite.tar
if [ ! -e "$empty" ]; then
	mkdir -p build/chroot
	new=$(mktemp -d)
	debootstrap --variant=minbase "$suite" "$new" "$mirror" >build/chroot/"$suite".log
	tar -C "$new" -cf "$empty.part" .
	rm -rf "$new"
	mv "$empty.part" "$empty"
fi

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
tar -C "$root" -xf "$empty"
chmod 755 "$root" # for the user that apt downloads as
git clone -q . "$root/root/src"
rm -rf "$root/var/lib/apt/lists"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
# this machine's settings for package registries
ca=/etc/ssl/certs/ca-certificates.crt
[ ! -e $ca ] || cp $ca "$root/etc/host-ca.crt"
env | grep -iE '^(https?|no)_proxy=|^PIP_INDEX_URL=|^npm_config_registry=' >"$root/etc/host.env" || :

# Its own PID name space: when the shell ends, everything that was started in it ends.
export root ca
unshare --mount --pid --fork --kill-child sh -eu -c '
	mount --bind "$root" "$root" # a root that is no mount point boots no systemd
	cd /
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/run"
	for command; do
		echo "--- $command"
		chroot "$root" env -i $(cat "$root/etc/host.env") HOME=/root LANG=C.UTF-8 \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			PIP_CERT=/etc/host-ca.crt NODE_EXTRA_CA_CERTS=/etc/host-ca.crt \
			npm_config_cafile=/etc/host-ca.crt \
			sh -c "cd /root/src && $command"
	done
' sh "$@"
