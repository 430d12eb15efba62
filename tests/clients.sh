#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the real clients that Debian does not package: the newest Autobahn|Python and the driver
# of the Autobahn TestSuite in build/venv, the JavaScript clients in build/js. Does nothing if they
# are installed.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build

python='autobahn[encryption,scram,twisted] kosoku'
if [ "$(cat build/venv/done 2>/dev/null)" != "$python" ]; then
	rm -rf build/venv
	/usr/bin/python3 -m venv build/venv
	# shellcheck disable=SC2086
	build/venv/bin/pip install -q --disable-pip-version-check $python
	echo "$python" >build/venv/done
fi

# later versions of autobahn need Node 22
node='autobahn@22.11.1 wampy@8.0.2 ws@8'
if [ "$(cat build/js/done 2>/dev/null)" != "$node" ]; then
	rm -rf build/js
	mkdir -p build/js
	echo '{"private": true}' >build/js/package.json
	# shellcheck disable=SC2086
	(cd build/js && npm install --silent --no-audit --no-fund --ignore-scripts $node)
	echo "$node" >build/js/done
fi
