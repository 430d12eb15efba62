#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that the folders include only downwards: routerd/, authd/ -> proto/ -> common/. Inside
# routerd/, checks which folder may include which. Prints each violation.
set -eu
cd "$(dirname "$0")/.."
broken=0
rules=0

# rule FOLDER PATTERN WHY: no file directly in FOLDER may have an #include that matches PATTERN.
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

rule common 'proto/|routerd/|authd/|tests/' 'common/ may include only common/'
rule proto 'routerd/|authd/|tests/' 'proto/ may include only common/ and proto/'
rule proto 'event2/|common/(loop|sock|rpc|mailbox|daemon)\.h|sys/socket|sys/epoll' 'proto/ does no I/O'
for folder in routerd routerd/config routerd/net routerd/peer routerd/core routerd/control; do
	rule $folder 'authd/|tests/' 'routerd and authd share only proto/ and common/'
done
for folder in authd authd/ctl; do
	rule $folder 'routerd/|tests/' 'routerd and authd share only proto/ and common/'
done
rule routerd/config 'routerd/([a-z]*\.h|net|peer|core|control|post)' 'config/ may include only common/, proto/ and config/'
rule routerd/net 'routerd/(peer|core|control)/|routerd/post\.h' 'net/ is below peer/, core/ and control/'
rule routerd/net 'proto/(wamp|msg|token|transcode|uri|json|msgpack|cbor|ubjson|auth_api)' 'net/ carries bytes, not WAMP messages'
rule routerd/peer 'routerd/(core|control)/' 'peer/ and core/ meet in post.h'
rule routerd/core 'routerd/(net|peer|control)/' 'core/ talks to other folders only by posts'
rule routerd/core 'event2/|common/(loop|sock|mailbox|rpc)\.h|sys/socket|pthread|stdatomic' \
	'core/ has no sockets, no locks, no atomics'
rule routerd/control 'routerd/(net|core)/' 'control/ talks to core/ only by posts'
for folder in common routerd routerd/config routerd/net routerd/peer routerd/core routerd/control authd authd/ctl; do
	rule $folder 'wslay' 'only proto/ws_reader.c includes wslay'
done

# The object files of one folder must not call each other in a circle. Symbols are looked up by name
# alone, so each name may be defined only once in the product.
objects=${1:-build/release}
found=$(mktemp)
trap 'rm -f "$found"' EXIT
for folder in common proto routerd routerd/* authd authd/ctl; do
	[ -d "$folder" ] || continue
	rules=$((rules + 1))
	for source in "$folder"/*.c; do
		[ -e "$objects/${source%.c}.o" ] || { echo "layers: not built: $source"; exit 1; }
		nm -A -P "$objects/${source%.c}.o"
	done |
		awk '$3 ~ /^[TDBRC]$/ { defined[$2] = $1 }
		     $3 == "U" { user[++n] = $1; symbol[n] = $2 }
		     END { for (i = 1; i <= n; i++)
				if (defined[symbol[i]] != "" && defined[symbol[i]] != user[i])
					print user[i], defined[symbol[i]] }' |
		sort -u >"$found"
	tsort "$found" >/dev/null 2>&1 || {
		echo "  $folder: its files call each other in a circle:"
		tsort "$found" 2>&1 >/dev/null | sed 's/^tsort: /    /' | grep '\.o'
		broken=1
	}
done

# No two files of the product share a name, and no two functions (static ones, too), types
# or constants. Exceptions: each program has its main.c and its main; X is the parameter of
# every macro that is a list. A function is found by its "{", which stands alone in a line.
names='
function word(s) { return match(s, /[A-Za-z_][A-Za-z_0-9]*/) ? substr(s, RSTART, RLENGTH) : "" }
function defined(kind, name) { print kind, name, FILENAME }
{
	if (comment && !sub(/^.*\*\//, ""))
		next
	gsub(/\/\*([^*]|\*[^\/])*\*\//, "")
	comment = sub(/\/\*.*/, "")
}
/^#define / && word(substr($0, 9)) != "X" { defined("constant", word(substr($0, 9))) }
/^#/ { next }
/(struct|union|enum) [a-z_0-9]+ \{$/ { defined("type", $(NF - 1)) }
/(LIST|TAILQ)_HEAD\([a-z]/ { defined("type", word(substr($0, index($0, "(") + 1))) }
/^typedef / {
	sub(/[(;].*/, "")
	defined("type", $NF)
}
/enum[ a-z_0-9]*\{/ {
	constants = 1
	sub(/.*enum[ a-z_0-9]*\{/, "")
}
constants {
	list = $0
	constants = !sub(/\}.*/, "", list)
	n = split(list, each, ",")
	for (i = 1; i <= n; i++)
		if (each[i] ~ /^[ \t]*[A-Z][A-Z_0-9]*([ \t]*=|[ \t]*$)/)
			defined("constant", word(each[i]))
}
/^[a-z_]/ { head = "" }
/^\{$/ {
	gsub(/(_Atomic|__attribute__|[A-Z_]+)\(+[a-z_0-9, ]*\)+/, "", head)
	sub(/\(.*/, "", head)
	n = split(head, each, /[ *]+/)
	if (each[n] != "main")
		defined("function", each[n])
}
{ head = head " " $0 }'
rules=$((rules + 4))
for folder in common proto routerd routerd/* authd authd/ctl; do
	[ -d "$folder" ] || continue
	for file in "$folder"/*.[ch]; do
		name=${file##*/}
		[ "${name%.*}" = main ] || echo "file ${name%.*} ${file%.*}"
		awk "$names" "$file"
	done
done | sort -u >"$found"
if cut -d ' ' -f 1,2 "$found" | uniq -d | grep -wFf - "$found"; then
	echo '  these names mean two things each'
	broken=1
fi

[ $broken = 0 ] || exit 1
echo "layers: $rules rules hold"
