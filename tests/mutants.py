#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plants small faults in the sources, one at a time, and prints those that no test finds: `make
mutants`.

    mutants.py [--number N] [--seed S] [--minutes M] [--only PATH[:LINE]] [--no-integration]
               [--plant PATH:LINE 'OLD' 'NEW']

The faults go into a copy of the tree below build/mutants, never into the checkout. First each test
runs once in a build that records which lines it executes. Then each fault is tried with the tests
that execute its line, until one fails: the unit tests of the release build, the unit tests and the
fuzz corpus under AddressSanitizer, the integration tests. A fault that does not compile, or does
not change the object code, is replaced by another. The last line is "N found, N survived".
"""

import argparse
import ctypes
import fcntl
import gzip
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build/mutants"
TREE = WORK / "tree"
SOURCES = ("common", "proto", "routerd", "authd")
BROKEN = "broken"
MEMORY = 4 << 30  # bytes that a test may map, except under AddressSanitizer
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", "-n", "2", "--dist", "loadgroup"]


# --- faults ---

def blank(text):
    """Replaces comments, literals and preprocessor lines by blanks; all offsets stay."""
    return re.sub(r'/\*[\s\S]*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^#(?:[^\n]*\\\n)*[^\n]*',
                  lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.M)


SWAPS = [(r"(?<= )<(?=\s)", "<="), (r"(?<= )<=(?=\s)", "<"), (r"(?<= )>(?=\s)", ">="), (r"(?<= )>=(?=\s)", ">"),
         (r"(?<= )==(?=\s)", "!="), (r"(?<= )!=(?=\s)", "=="), (r"(?<= )&&(?=\s)", "||"), (r"(?<= )\|\|(?=\s)", "&&"),
         (r"(?<= )\+(?=\s)", "-"), (r"(?<= )-(?=\s)", "+"), (r"(?<= )\*(?= )", "/"), (r"(?<= )&(?=\s)", "|"),
         (r"(?<= )\|(?=\s)", "&"), (r"(?<= )\+=(?=\s)", "-="), (r"(?<= )-=(?=\s)", "+="), (r"(?<= )\|=(?=\s)", "&="),
         (r"\+\+", "--"), (r"!(?=[a-z_(])", ""), (r"\btrue\b", "false"), (r"\bfalse\b", "true"),
         (r"(?<![\w.])(?:0|[1-9]\d*)(?![\w.])", lambda n: str(int(n) + 1)),
         (r"(?<=\breturn )(?!0;|true;|false;)[^;{}]+(?=;)", "0"), (r"\b(?:break|continue)(?=;)", ""),
         # a whole statement: a call, an assignment or a jump
         (r"(?<=[;{}:)]\n)(?<=\n)\t+(?:goto \w+|\**[a-z_][\w.>\[\]-]*(?:\(| [-+|&^]?= |\+\+|--)[^;{}]*);", ";")]
# lines that get no fault: assertions, debug logs and labels
NOT_HERE = re.compile(r"^\s*(?:ASSERT|DEBUG_ASSERT|ASSERT_OWNER|static_assert|log_debug)\b|\b(?:case|default)\b.*:$")


def closing(code, at):
    """The offset of the parenthesis that closes the one at offset `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return len(code)


def faults_of(path):
    """All faults for a file: (path, line, offset, old text, new text)."""
    text = (TREE / path).read_text()
    code = blank(text)
    found = []
    for pattern, new in SWAPS:
        for m in re.finditer(pattern, code):
            found.append((m.start(), m.end(), new(m[0]) if callable(new) else new))
    for m in re.finditer(r"\b(?:if|while) \(", code):
        end = closing(code, m.end() - 1)
        condition = text[m.end():end]
        if m[0].startswith("if"):
            found.append((m.end(), end, f"!({condition})"))
        found.append((m.end(), end, f"0 && ({condition})"))
    for start, end, new in found:
        begin = start + len(code[start:end]) - len(code[start:end].lstrip())
        line = code[code.rfind("\n", 0, begin) + 1:].split("\n", 1)[0]
        if not NOT_HERE.search(line):
            # the replacement keeps the number of lines
            yield path, text.count("\n", 0, begin) + 1, begin, text[begin:end], new + "\n" * text.count("\n", begin, end)


def describe(fault):
    path, line, _, old, new = fault
    short = [" ".join(t.split()) or "nothing" for t in (old, new)]
    return f"{path}:{line}: {short[0]}  ->  {short[1]}"


# --- commands ---

def end_descendants():
    """Ends what a test left behind. We are a subreaper, so orphans become our children."""
    while True:
        me = f"/proc/self/task/{os.getpid()}/children"
        children = Path(me).read_text().split()
        if not children:
            return
        for pid in children:
            try:
                os.kill(int(pid), signal.SIGKILL)
                os.waitpid(int(pid), 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def run(command, seconds, env=None, memory=None):
    """Returns the exit status, or None after `seconds`. Ends all processes that the command started."""
    def limit():
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))

    with open(WORK / "output", "wb") as output:
        process = subprocess.Popen(command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=limit)
        try:
            return process.wait(max(1, seconds))
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            end_descendants()


def make(*targets, mode="release", more=(), seconds=1800):
    jobs = f"-j{os.cpu_count()}"
    return run(["make", "-s", jobs, f"MODE={mode}", *more, *targets], seconds)


def must(status, what):
    if status != 0:
        sys.exit(f"{what} failed:\n{(WORK / 'output').read_text(errors='replace')[-3000:]}")


# --- tests and the lines that they execute ---

class Test:
    """One unit test, or one file of integration tests, in one build."""

    def __init__(self, kind, name):
        self.kind, self.name = kind, name
        self.seconds, self.lines, self.good = 0.0, {}, True
        self.failing = []  # tests of the file that fail without a fault

    def targets(self, build):
        return {"unit": [f"{build}/unit/{self.name}"], "fuzz": [f"{build}/fuzz/{self.name}"],
                "integration": ["all", "tools"]}[self.kind]

    def run(self, build, seconds, *options):
        command = {"unit": [f"{build}/unit/{self.name}"],
                   "fuzz": [f"{build}/fuzz/{self.name}", f"tests/fuzz/corpus/{self.name[5:]}"],
                   "integration": [*PYTEST, *options, *(f"--deselect={t}" for t in self.failing),
                                   f"tests/integration/{self.name}.py"]}
        status = run(command[self.kind], seconds, {"BUILD": build},
                     MEMORY if self.kind == "unit" and "asan" not in build else None)
        return status in (0, 5)  # pytest's status 5: all tests were deselected

    def passes(self, build, seconds):
        # a test must fail twice: the first time the machine may have been busy
        return self.run(build, seconds, "-x") or self.run(build, seconds, "-x")

    def learn(self, build):
        """Runs the test without a fault. Tests of a file that fail then are left out."""
        start = time.monotonic()
        self.good = self.run(build, 600) or (self.kind != "integration" and self.run(build, 600))
        self.seconds = time.monotonic() - start
        if self.kind == "integration":
            output = (WORK / "output").read_text(errors="replace")
            self.failing = sorted(set(re.findall(r"^(?:FAILED|ERROR) (tests/\S+)", output, re.M)))
            self.good = self.good or bool(self.failing)


def covered_lines():
    """{file: executed lines} since the .gcda files were removed."""
    lines = {}
    data = [str(p.relative_to(TREE)) for p in (TREE / "build/cov").rglob("*.gcda")]
    if not data:
        return lines
    output = subprocess.run(["gcov", "--json-format", "--stdout", *data], cwd=TREE, capture_output=True).stdout
    for document in output.splitlines():
        for f in json.loads(document)["files"] if document.startswith(b"{") else []:
            if f["file"].startswith(SOURCES):
                lines.setdefault(f["file"], set()).update(l["line_number"] for l in f["lines"] if l["count"])
    return lines


def learn(tests, integration):
    """Runs each test once with gcov and stores which lines it executes, until a source changes."""
    state = hashlib.sha256()
    for p in sorted(q for d in (*SOURCES, "tests") for q in (TREE / d).rglob("*") if q.suffix in (".c", ".h", ".py")):
        state.update(str(p.relative_to(TREE)).encode() + p.read_bytes())
    cache = WORK / "lines.json.gz"
    known = json.loads(gzip.open(cache).read()) if cache.exists() else {}
    if known.get("state") != state.hexdigest():
        known = {"state": state.hexdigest(), "tests": {}}
    missing = [t for t in tests if t.name not in known["tests"] and (integration or t.kind != "integration")]
    if missing:
        more = ["CC=gcc", "CFLAGS=--coverage", "LDFLAGS=--coverage", "B=build/cov"]
        must(make("all", "tools", "units", "fuzzers", mode="debug", more=more), "the build with gcov")
    for t in missing:
        for p in (TREE / "build/cov").rglob("*.gcda"):
            p.unlink()
        print(f"    learning {t.name}", flush=True)
        t.learn("build/cov")
        known["tests"][t.name] = {"seconds": t.seconds, "good": t.good, "failing": t.failing,
                                  "lines": {f: sorted(n) for f, n in covered_lines().items()}}
        with gzip.open(cache, "wt") as f:
            json.dump(known, f)
    for t in tests:
        entry = known["tests"].get(t.name, {"seconds": 0, "good": True, "failing": [], "lines": {}})
        t.seconds, t.good, t.failing = entry["seconds"], entry["good"], entry["failing"]
        t.lines = {f: set(n) for f, n in entry["lines"].items()}
        for name in t.failing or ([] if t.good else [t.name]):
            print(f"left out, since it fails without a fault: {name}", flush=True)


def concerned(tests, path, line):
    """The tests that execute this line, the fastest first. For a line without code, the tests of its file."""
    exact = [t for t in tests if line in t.lines.get(path, ())]
    if not exact:
        exact = [t for t in tests if t.lines.get(path)]
    return sorted((t for t in exact if t.good), key=lambda t: t.seconds)


# --- one fault ---

def code_of(obj):
    """The object code without debug information."""
    stripped = WORK / "stripped.o"
    subprocess.run(["objcopy", "-g", obj, stripped], check=True)
    return stripped.read_bytes()


class Planted:
    """A context manager with a fault planted in the tree."""

    def __init__(self, fault):
        self.path, _, self.at, self.old, self.new = fault
        self.source = TREE / self.path
        self.objects = [TREE / "build" / mode / self.path.replace(".c", ".o") for mode in ("release", "asan")]

    def __enter__(self):
        self.text, self.stat = self.source.read_text(), self.source.stat()
        self.kept = {o: o.read_bytes() for o in self.objects if o.exists()}
        self.before = code_of(self.objects[0])
        self.source.write_text(self.text[:self.at] + self.new + self.text[self.at + len(self.old):])
        return self

    def changes_code(self):
        built = make(str(self.objects[0].relative_to(TREE)), seconds=120) == 0
        return built and code_of(self.objects[0]) != self.before

    def __exit__(self, *_):
        self.source.write_text(self.text)
        os.utime(self.source, ns=(self.stat.st_atime_ns, self.stat.st_mtime_ns))
        for obj, content in self.kept.items():
            obj.write_bytes(content)


def found_by(tests, fault, integration, deadline):
    """Returns the stage and test that failed, "not executed", BROKEN if the fault does not compile,
    or None."""
    path, line = fault[:2]
    any_test = False
    for kinds, mode in ((("unit",), "release"), (("unit", "fuzz"), "asan"), (("integration",), "release")):
        if "integration" in kinds and not integration:
            continue
        for t in concerned([t for t in tests if t.kind in kinds], path, line):
            any_test = True
            left = deadline - time.monotonic()
            if left < 0:
                sys.exit("out of time")
            if make(*t.targets(f"build/{mode}"), mode=mode, seconds=600) != 0:
                return BROKEN
            if not t.passes(f"build/{mode}", 30 + 6 * t.seconds):
                return f"{mode} {t.name}"
    return None if any_test else "not executed"


# --- main ---

def copy_tree():
    TREE.mkdir(parents=True, exist_ok=True)
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split("\n")
    wanted = {f for f in files if f and (ROOT / f).is_file()}
    for old in [p for p in TREE.rglob("*") if p.is_file() and "build" not in p.relative_to(TREE).parts]:
        if str(old.relative_to(TREE)) not in wanted:
            old.unlink()
    for f in wanted:
        to = TREE / f
        if not to.exists() or to.read_bytes() != (ROOT / f).read_bytes():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / f, to)
    (TREE / "build").mkdir(exist_ok=True)
    for clients in ("venv", "js"):
        if (ROOT / "build" / clients).exists() and not (TREE / "build" / clients).exists():
            (TREE / "build" / clients).symlink_to((ROOT / "build" / clients).resolve())


def chosen(args):
    if args.plant:
        where, old, new = args.plant
        path, line = where.split(":")
        text = (TREE / path).read_text()
        start = sum(len(l) + 1 for l in text.split("\n")[:int(line) - 1])
        at = text.index(old, start)
        return [(path, text.count("\n", 0, at) + 1, at, old, new + "\n" * (old.count("\n") - new.count("\n")))]
    path, _, line = args.only.partition(":")
    files = sorted(str(p.relative_to(TREE)) for d in SOURCES for p in (TREE / d).rglob("*.c"))
    faults = [f for p in files if p.startswith(path) for f in faults_of(p) if not line or f[1] == int(line)]
    random.Random(args.seed).shuffle(faults)
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100, help="number of faults (100)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random choice (1)")
    parser.add_argument("--minutes", type=float, default=120, help="stop after this many minutes (120)")
    parser.add_argument("--only", default="", help="only files whose path begins with PATH, and only this line")
    parser.add_argument("--no-integration", action="store_true", help="skip the integration tests")
    parser.add_argument("--plant", nargs=3, help="plant this one fault, at or after that line")
    args = parser.parse_args()
    deadline = time.monotonic() + args.minutes * 60
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    os.environ.pop("MAKEFLAGS", None)
    integration = not args.no_integration

    WORK.mkdir(parents=True, exist_ok=True)
    lock = open(WORK / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another run uses {WORK}")
    copy_tree()
    for mode in ("release", "asan"):
        must(make("all", "tools", "units", "fuzzers", mode=mode), f"the build of {mode}")
    tests = [Test(kind, p.stem) for kind, folder, pattern in
             (("unit", "unit", "test_*.c"), ("fuzz", "fuzz", "fuzz_*.c"), ("integration", "integration", "test_*.py"))
             for p in sorted((TREE / "tests" / folder).glob(pattern))]
    learn(tests, integration)
    survivors, found = [], 0
    try:
        for fault in chosen(args):
            if found + len(survivors) == args.number:
                break
            with Planted(fault) as planted:
                if not planted.changes_code():
                    continue
                by = found_by(tests, fault, integration, deadline)
            if by == BROKEN:  # says nothing about the tests
                continue
            if by in (None, "not executed"):
                survivors.append(describe(fault) + (f" ({by})" if by else ""))
            else:
                found += 1
            print(f"{by or 'SURVIVED':40} {describe(fault)}", flush=True)
    finally:
        print("\nSurvivors:", *survivors, sep="\n    ")
        print(f"\n{found} found, {len(survivors)} survived", flush=True)


if __name__ == "__main__":
    main()
