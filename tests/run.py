#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test and counts what passed: `make check` and `make check-long` call this.

run.py check|check-long [STAGE...]

Each stage is one command; some run at the same time. Its output goes to build/check/STAGE.log and is shown if the stage fails.
The tests that cmocka and pytest report are counted; a stage without such a report counts as one
test. The last line is "N passed, N failed". The exit status is 0 if nothing failed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build/check"
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--durations=15", "-p", "no:cacheprovider",
          "tests/integration"]
JOBS = f"-j{os.cpu_count()}"


class Stage:
    running = set()  # processes of all stages

    def __init__(self, name, *commands, minutes=5, env=None):
        self.name = name
        self.commands = commands
        self.minutes = minutes
        self.env = env or {}
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0
        self.note = ""
        self.not_run = []  # lines in which pytest names skipped tests

    @property
    def log(self):
        return LOGS / f"{self.name}.log"

    def run(self):
        start = time.monotonic()
        deadline = start + self.minutes * 60
        ok = True
        with open(self.log, "wb") as log:
            for command in self.commands:
                log.write(f"$ {' '.join(command)}\n".encode())
                log.flush()
                if not self._run_one(command, log, deadline):
                    ok = False
                    break
        self.seconds = time.monotonic() - start
        self._count(ok)

    def _run_one(self, command, log, deadline):
        # its own process group, so that everything the test left behind can be ended
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, env={**os.environ, **self.env},
                                   start_new_session=True)
        self.running.add(process)
        try:
            code = process.wait(max(1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.note = f"no end after {self.minutes} minutes"
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
            return False
        finally:
            self.running.remove(process)
        if code != 0:
            self.note = self.note or f"exit status {code}"
        return code == 0

    def _count(self, ok):
        text = self.log.read_text(errors="replace")
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        for number in re.findall(r"^\[  PASSED  \] (\d+) test", text, re.M):
            self.passed += int(number)
        for number in re.findall(r"^\[  FAILED  \] (\d+) test", text, re.M):
            self.failed += int(number)
        for line in re.findall(r"^(?:=* ?)?(\d+ \w+.*) in [\d.]+s", text, re.M):
            found = dict((word, int(n)) for n, word in re.findall(r"(\d+) (\w+)", line))
            self.passed += found.get("passed", 0)
            self.failed += found.get("failed", 0) + found.get("error", 0) + found.get("errors", 0)
            self.skipped += found.get("skipped", 0)
        self.not_run = re.findall(r"^(?:SKIPPED|left out:) .*", text, re.M)
        if ok and self.passed == 0 and self.failed == 0:
            self.passed = 1
        if not ok and self.failed == 0:
            self.failed = 1
        if ok and self.failed:
            self.note = "failures, yet exit status 0"


def make(*targets, mode="release"):
    return ["make", "-s", JOBS, f"MODE={mode}", *targets]


def unit(mode):
    return ["make", "-s", f"MODE={mode}", "unit"]


def pytest(mode, *args, jobs=2):
    # loadgroup: the tests of one xdist_group, such as those of port 8080, run one after the other
    return [*PYTEST, "-n", str(jobs), "--dist", "loadgroup", *args]


def clients():
    """The real clients that Debian does not package, below build/."""
    return Stage("clients", ["sh", "tests/clients.sh"])


def build(mode, *targets):
    return Stage(f"build-{mode}", make("all", "tools", *targets, mode=mode), minutes=15)


def integration(mode, *args, minutes=20, jobs=min(16, 4 * os.cpu_count()), name=None, env=None):
    # more jobs than cores: the tests wait most of the time
    return Stage(name or f"integration-{mode}", pytest(mode, *args, jobs=jobs),
                 minutes=minutes, env={"BUILD": f"build/{mode}", **(env or {})})


def check():
    """Lists of stages that run at the same time. Nothing else runs next to the bench, which measures."""
    return [
        [clients(), build("release", "units")],
        [build("asan", "units", "fuzzers"), build("tsan"), Stage("headers", make("headers")),
         Stage("layers", make("layers")), *format_check(), Stage("collect", pytest("release", "--collect-only", jobs=0))],
        [Stage("unit-release", unit("release")), Stage("unit-asan", unit("asan"), minutes=15),
         Stage("replay-asan", make("replay", mode="asan"))],
        [Stage("bench", make("benches"), [*PYTEST[:-1], "-n", "2", "tests/bench"])],
        [Stage("instructions", ["/usr/bin/python3", "tests/bench/instructions.py", "--check"]),
         integration("release", "-m", "not long")],
        [integration("asan", "-m", "not long")],
        [integration("tsan", "-m", "not long")],
    ]


def check_long():
    valgrind = ("valgrind --leak-check=full --show-leak-kinds=definite,indirect "
                "--errors-for-leak-kinds=definite,indirect --error-exitcode=9")
    stages = [
        clients(),
        build("release", "units"),
        build("asan", "units"),
        build("tsan", "units"),
        Stage("unit-tsan", unit("tsan"), minutes=20),
        Stage("workers-asan", ["build/asan/unit/test_workers"], minutes=20,
              env={"SEED": "1000", "SEEDS": "300"}),
        *[integration("release", "-m", "not long", name=f"all-release-{n}",
                      env={"ALL_CASES": "1"}) for n in range(1, 4)],
        integration("asan", "-m", "not long", name="all-asan", env={"ALL_CASES": "1"}),
        *[integration("tsan", "-m", "not long", name=f"all-tsan-{n}", env={"ALL_CASES": "1"}) for n in range(1, 4)],
        integration("release", "-m", "long", minutes=30, jobs=1, name="long-release"),
        integration("asan", "-m", "long", minutes=30, jobs=1, name="long-asan"),
        Stage("soak", ["make", "-s", "soak"], minutes=20),
        Stage("valgrind", [*PYTEST, "-m", "long", "-k", "connects"], minutes=60, env={"WRAP": valgrind}),
        Stage("chroot-bookworm", ["sh", "tests/chroot.sh", "bookworm"], minutes=60),
        Stage("chroot-trixie", ["sh", "tests/chroot.sh", "trixie"], minutes=60),
    ]
    return [[stage] for stage in stages]


def format_check():
    """Other versions of clang-format format differently."""
    try:
        version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return []
    return [Stage("format", make("format-check"))] if " version 14." in version else []


def show_progress(stages, done):
    """Prints a line every half minute, so that nobody takes a long stage for a hang."""
    start = time.monotonic()
    while not done.wait(30):
        print(f"    ... {', '.join(s.name for s in stages)} {time.monotonic() - start:.0f} s", flush=True)


def show(stage):
    if stage.failed:
        print(stage.log.read_text(errors="replace")[-8000:])
    print(f"    {stage.name}: {stage.passed} passed, {stage.failed} failed, {stage.skipped} skipped, "
          f"{stage.seconds:.0f} s {stage.note}", flush=True)
    for line in stage.not_run:
        print(f"    {line}", flush=True)


def run_together(stages):
    """Runs as many at a time as there are cores, in this order."""
    print(f"--- {', '.join(s.name for s in stages)}", flush=True)
    done, waiting = threading.Event(), list(stages)
    threading.Thread(target=show_progress, args=(waiting, done), daemon=True).start()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            runs = {pool.submit(stage.run): stage for stage in stages}
            for run in as_completed(runs):
                run.result()
                waiting.remove(runs[run])
                show(runs[run])
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(Stage.running):
                os.killpg(process.pid, 15)
            raise
        finally:
            done.set()


def keep_compiled_tests():
    """pytest compiles the tests slowly; every worker of every stage would do it."""
    cache = ROOT / "build/pycache"
    shutil.rmtree(f"{cache}{tempfile.gettempdir()}", ignore_errors=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(cache)


def main():
    suites = {"check": check, "check-long": check_long}
    if len(sys.argv) < 2 or sys.argv[1] not in suites:
        sys.exit(__doc__)
    groups = suites[sys.argv[1]]()
    if sys.argv[2:]:
        groups = [[s for s in group if s.name in sys.argv[2:]] for group in groups]
    stages = [s for group in groups for s in group]
    LOGS.mkdir(parents=True, exist_ok=True)
    keep_compiled_tests()
    start = time.monotonic()
    for group in filter(None, groups):
        run_together(group)
    print(f"\n{'stage':24}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for s in stages:
        print(f"{s.name:24}{s.passed:8}{s.failed:8}{s.skipped:8}{s.seconds:9.0f} {s.note}")
    failed = sum(s.failed for s in stages)
    print(f"{time.monotonic() - start:57.0f}\n")
    print(f"{sum(s.passed for s in stages)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
