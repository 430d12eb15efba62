#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-packages.sh LIST... - installs the Debian packages named in the lists that are
# missing, with sudo where the caller is not root. A machine that has them all is not touched.
set -eu

# node and npm may come from elsewhere than Debian
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
export DEBIAN_FRONTEND=noninteractive
install="$sudo apt-get install -y -q --no-install-recommends"
# the package lists may be missing or old
# shellcheck disable=SC2086
$install $missing >/dev/null 2>&1 || {
	$sudo apt-get update -q >/dev/null
	$install $missing >/dev/null
}
