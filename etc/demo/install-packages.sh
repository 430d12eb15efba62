#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-packages.sh LIST... - installs those of the Debian packages in the lists that are not
# installed yet, with sudo if the caller is not root. If all are installed it does nothing.
set -eu

# node and npm may be installed from other sources than Debian
have() {
	case $1 in
	nodejs) command -v node >/dev/null && return ;;
	npm) command -v npm >/dev/null && return ;;
	esac
	dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

missing=
for package in $(sed 's/#.*//' "$@"); do
	have "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "these packages are missing, and there is no apt-get here:$missing" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "install these packages as root, then try again:$missing" >&2
		exit 1
	fi
	sudo=sudo
fi
echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt_get ARG...: runs apt-get, and again while another process holds one of apt's locks, since apt-get may not wait for them
apt_get() {
	tries=600
	until $sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >"$log" 2>&1; do
		if ! grep -q 'Could not get lock' "$log" || [ $tries = 0 ]; then
			return 1
		fi
		[ $tries != 600 ] || echo "waiting for another process that uses apt"
		tries=$((tries - 1))
		sleep 1
	done
}

# if it fails, the package lists may be missing or old
# shellcheck disable=SC2086
apt_get install -y --no-install-recommends $missing ||
	{ apt_get update && apt_get install -y --no-install-recommends $missing; } ||
	{
		cat "$log" >&2
		echo "apt-get could not install:$missing" >&2
		exit 1
	}
