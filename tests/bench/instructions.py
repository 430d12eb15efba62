# SPDX-License-Identifier: Apache-2.0
"""Counts the user-space instructions that routerd executes for one message, with callgrind.

The result does not depend on the load of the machine. wampbench sends each burst when the last one
is done, so that every turn of the router's loop has the same work.

    instructions.py --check    fails if a case takes 3 % more than instructions.json says
                               (10 % if another compiler made that file)
    instructions.py --write    writes that file anew, after a change that is worth its cost
    instructions.py --profile CASE   prints the functions that take most of it
"""

import argparse
import json
import re
import sys
from pathlib import Path

from servers import BUILD, Routerd, run

FILE = Path(__file__).with_name("instructions.json")
BOUND, OTHER_COMPILER = 0.03, 0.10
BURST = 8
MESSAGES = 800
WARM = 400

KINDS = {
    "call": ["rpc"],
    "publish": ["pubsub"],
}
CASES = {f"{kind} {serializer} {size}": [*args, "--serializer", serializer, "--size", str(size)]
         for kind, args in KINDS.items()
         for serializer in ("json", "msgpack", "cbor")
         for size in (100, 1024)}


class Counted(Routerd):
    """routerd under callgrind, controlled with vgdb."""

    def spawn(self, argv, ready=None, seconds=60, env=None):
        if str(argv[0]).endswith("routerd"):
            argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=out", *argv]
        return super().spawn(argv, ready, seconds, env)

    def ask(self, *command):
        run("vgdb", f"--pid={self.processes[-1].pid}", *command, cwd=self.folder)

    def dump(self):
        """The newest dump; dumps are numbered."""
        return max(self.folder.glob("out.*"), key=lambda p: int(p.suffix[1:]))


def wampbench(server, args, count):
    return run(BUILD / "bench/wampbench", *args, *server.where("ws-tcp"), "--window", BURST, "--burst",
               "--count", count)


def count(server, args):
    """Instructions per message: the difference between a long run and a short run."""
    totals = []
    for messages in (WARM, WARM, WARM + MESSAGES):
        server.ask("zero")
        wampbench(server, args, messages)
        server.ask("dump")
        totals.append(int(re.search(r"^(?:totals|summary): (\d+)", server.dump().read_text(), re.M)[1]))
    return (totals[2] - totals[1]) / MESSAGES


def progress(text):
    print(text, file=sys.stderr, flush=True)


def measure(cases):
    results = {}
    with Counted(0) as server:
        for name in cases:
            results[name] = round(count(server, CASES[name]))
            progress(f"  {name:24} {results[name]:6}")
    return results


def compiler():
    return run("cc", "--version").splitlines()[0]


def check(results, kept, bound):
    """Prints what changed. Returns true if no case grew by more than the bound."""
    good = True
    for name, now in results.items():
        before = kept.get(name)
        change = now / before - 1 if before else float("inf")
        if change > bound:
            good = False
        if abs(change) > bound:
            print(f"{name}: {now} instructions, {before} before ({change:+.1%})")
    return good


def profile(name):
    """Profiles a whole run, with so many messages that start and end do not matter."""
    with Counted(0) as server:
        wampbench(server, CASES[name], 10 * MESSAGES)
        server.processes[-1].terminate()
        server.processes[-1].wait()
        print(run("callgrind_annotate", "--auto=no", "--threshold=97", server.folder / "out"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--profile", metavar="CASE", choices=CASES)
    args = parser.parse_args()
    if args.profile:
        profile(args.profile)
        return
    results = measure(CASES)
    if args.write:
        FILE.write_text(json.dumps({
            "what": "instructions in user space for one message, by instructions.py",
            "compiler": compiler(),
            "machine": run("uname", "-m").strip(),
            "instructions": results,
        }, indent=1) + "\n")
    elif args.check:
        kept = json.loads(FILE.read_text())
        bound = BOUND if kept["compiler"] == compiler() else OTHER_COMPILER
        if check(results, kept["instructions"], bound):
            return
        sys.exit("If it is worth the cost: `instructions.py --write`, with the reason in the commit message.")


if __name__ == "__main__":
    main()
