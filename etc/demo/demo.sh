#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# demo.sh          - builds everything, starts authd and routerd, logs in with a known and an unknown key
# demo.sh --serve  - builds and starts them as well, and runs until Ctrl-C instead of logging in
#
# PORT is the port at which routerd listens (8080). Keys, database and logs are in a temporary folder, which is always removed.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
bin=$root/build/release
port=${PORT:-8080}

sh etc/demo/install-packages.sh etc/demo/packages.txt
make -s -j"$(nproc)" all

make_target=demo
[ "${1-}" != --serve ] || make_target=run

state=$(mktemp -d)
authd= routerd=
cleanup() {
	status=$?
	trap - EXIT INT TERM
	for pid in $routerd $authd; do
		kill "$pid" 2>/dev/null && wait "$pid" || :
	done
	cd /
	rm -rf "$state"
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_ready NAME PID: waits until the daemon's log says that it is ready; if it ends instead, prints the log and exits
wait_ready() {
	tries=200
	until grep -qsw ready "$1.log"; do
		if ! kill -0 "$2" 2>/dev/null || [ $tries = 0 ]; then
			cat "$1.log" >&2
			echo "$1 has not started; its log is above" >&2
			if grep -q 'Address already in use' "$1.log"; then
				echo "port $port is taken; choose another one: make $make_target PORT=8090" >&2
			fi
			exit 1
		fi
		tries=$((tries - 1))
		sleep 0.05
	done
}

cd "$state"
"$bin/authd/authd" -c "$root/etc/demo/authd.yaml" 2>authd.log &
authd=$!
wait_ready authd $authd

authctl() {
	"$bin/authd/authctl" --socket admin.sock "$@"
}
authctl key gen -f known.key >/dev/null
authctl key gen -f unknown.key >/dev/null
public=$(authctl -o json key show known.key | sed -n 's/.*"\([0-9a-f]\{64\}\)".*/\1/p')
authctl principal add client01@example.com --realm devices --role device \
	--key "$public" --extra '{"foo": 23}'

sed "s/port: 8080/port: $port/" "$root/etc/demo/routerd.yaml" >routerd.yaml
"$bin/routerd/routerd" -c routerd.yaml 2>routerd.log &
routerd=$!
wait_ready routerd $routerd

if [ "${1-}" = --serve ]; then
	echo "serving ws://127.0.0.1:$port/ws; Ctrl-C ends it. The logs are $state/routerd.log and $state/authd.log"
	echo "In another terminal:"
	echo "  /usr/bin/python3 $root/etc/demo/client.py --key $state/known.key --url ws://127.0.0.1:$port/ws"
	echo "  $bin/authd/authctl --socket $state/admin.sock principal list"
	trap 'exit 0' INT
	wait $routerd && exit
	cat routerd.log >&2
	echo "routerd has ended; its log is above" >&2
	exit 1
fi

echo "--- client with the known key"
/usr/bin/python3 "$root/etc/demo/client.py" --key known.key --url "ws://127.0.0.1:$port/ws"
echo "--- client with an unknown key"
status=0
/usr/bin/python3 "$root/etc/demo/client.py" --key unknown.key --url "ws://127.0.0.1:$port/ws" || status=$?
if [ $status != 1 ]; then
	echo "the unknown key was not refused" >&2
	exit 1
fi
