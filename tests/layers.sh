#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that the folders include only downwards: routerd/, authd/ -> proto/ -> common/, and
# inside routerd/ what each folder may know of the others. Prints what breaks a rule.
set -eu
cd "$(dirname "$0")/.."
broken=0
rules=0

# rule FOLDER PATTERN WHY: no file of this folder (not below it) includes what matches
rule() {
	rules=$((rules + 1))
	for file in "$1"/*.[ch]; do
		[ -e "$file" ] || continue
		if grep -nE "^#[[:space:]]*include[[:space:]]*[<\"]($2)" "$file" /dev/null; then
			echo "  $1: $3"
			broken=1
		fi
	done
}

rule common 'proto/|routerd/|authd/|tests/' 'common/ is below everything'
rule proto 'routerd/|authd/|tests/' 'proto/ is above common/ alone'
rule proto 'event2/|common/(loop|sock|rpc|mailbox|daemon)\.h|sys/socket|sys/epoll' 'proto/ does no I/O'
for folder in routerd routerd/config routerd/net routerd/peer routerd/core routerd/control; do
	rule $folder 'authd/|tests/' 'routerd and authd meet in proto/'
done
for folder in authd authd/ctl; do
	rule $folder 'routerd/|tests/' 'routerd and authd meet in proto/'
done
rule routerd/config 'routerd/([a-z]*\.h|net|peer|core|control|post)' 'config/ is above common/ and proto/ alone'
rule routerd/net 'routerd/(peer|core|control)/|routerd/post\.h' 'net/ carries bytes and knows nothing above it'
rule routerd/net 'proto/(wamp|msg|token|transcode|uri|json|msgpack|cbor|auth_api)' 'net/ knows no WAMP'
rule routerd/peer 'routerd/(core|control)/' 'peer/ and core/ meet in post.h'
rule routerd/core 'routerd/(net|peer|control)/' 'core/ knows posts only'
rule routerd/core 'event2/|common/(loop|sock|mailbox|rpc)\.h|sys/socket|pthread|stdatomic' \
	'core/ has no sockets, no locks, no atomics'
rule routerd/control 'routerd/(net|core)/' 'control/ reaches core/ through posts'
for folder in common routerd routerd/config routerd/net routerd/peer routerd/core routerd/control authd authd/ctl; do
	rule $folder 'wslay' 'only proto/ws_reader.c includes wslay'
done

[ $broken = 0 ] || exit 1
echo "layers: $rules rules hold"
