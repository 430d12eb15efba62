#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# boot.sh FOLDER - boots a systemd that sees this machine's programs, and this source at /src.
#
# All writes go into memory: a tmpfs on FOLDER lies over the machine's own root. Of the machine's
# units only the journal and temporary files start, so nothing runs but what a test installs. The
# network has only loopback. Run it as
#
#   unshare --mount --propagation private --pid --mount-proc --fork --kill-child sh tests/boot.sh FOLDER
#
# so that everything it mounts and starts ends with it. Needs root and systemd-container.
set -eu
box=$1
source=$(cd "$(dirname "$0")/.." && pwd)

# Make our own cgroups. The caller removes them, since this process is in them.
for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	if [ -e $top/cgroup.procs ]; then
		mkdir "$top/${box##*/}"
		echo 0 >"$top/${box##*/}/cgroup.procs"
	fi
done

mount -t tmpfs tmpfs "$box"
root=$box/root
mkdir "$box/new" "$box/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$box/new,workdir=$box/work" overlay "$root"

# Hide this machine's units: those that were enabled, those that packages enable, and generated
# ones.
rm -rf "$root"/etc/systemd/system/* "$root"/etc/systemd/system-generators "$root"/etc/init.d \
	"$root"/usr/lib/systemd/system-generators "$root"/usr/lib/systemd/system/*.wants \
	"$root"/usr/lib/systemd/system/*.requires
start() {
	mkdir -p "$root/etc/systemd/system/$1.wants"
	ln -s "/usr/lib/systemd/system/$2" "$root/etc/systemd/system/$1.wants/"
}
start sysinit.target systemd-tmpfiles-setup.service
start sysinit.target systemd-journald.service
start sockets.target systemd-journald.socket
start sockets.target systemd-journald-dev-log.socket
ln -s /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
# Without a machine id systemd would take this for the first boot and enable all units.
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
rm -rf "$root/var/log/journal"

# systemd-nspawn must not register with this machine's systemd-machined.
mount -t tmpfs tmpfs /run
status=133
while [ $status = 133 ]; do # a reboot
	status=0
	systemd-nspawn -q -D "$root" -b --register=no --keep-unit --private-network --console=pipe \
		--bind-ro="$source:/src" --machine="${box##*/}" || status=$?
done
exit $status
