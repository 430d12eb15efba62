#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test and counts what passed: `make check` and `make check-long` call this.

run.py check|check-long [STAGE...]

Each stage is one or more commands; two stages run at the same time. The output goes to build/check/STAGE.log and is shown
if the stage fails. The tests that cmocka and pytest report are counted; a stage without such a report counts as one
test. The last line is "N passed, N failed". The exit status is 0 if nothing failed.
Next to the seconds of each stage is the CPU time of the processes that it has waited for.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build/check"
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--durations=15", "-p", "no:cacheprovider",
          "tests/integration"]
JOBS = f"-j{os.cpu_count()}"


class Stage:
    def __init__(self, name, *commands, minutes=5, env=None, after=()):
        self.name = name
        self.commands = list(commands)
        self.minutes = minutes
        self.env = env or {}
        self.after = after  # names of stages in the other lane that must have ended
        self.process = self.start = None
        self.passed = self.failed = self.skipped = 0
        self.seconds = self.cpu = 0.0
        self.note = ""
        self.not_run = []  # lines in which pytest names skipped tests

    @property
    def log(self):
        return LOGS / f"{self.name}.log"

    def begin(self):
        self.start = time.monotonic()
        self.log.write_bytes(b"")
        self._next()

    def _next(self):
        command = self.commands.pop(0)
        with open(self.log, "ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            # its own process group, so that everything the test left behind can be ended
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, **self.env},
                                            start_new_session=True)

    def has_ended(self):
        """Starts the next command if the last one has ended."""
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        late = time.monotonic() - self.start - self.minutes * 60
        if not pid:
            if late > 0:
                self.note = f"no end after {self.minutes} minutes"
                self.end(15 if late < 10 else 9)
            return False
        code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += usage.ru_utime + usage.ru_stime
        if code == 0 and self.commands:
            self._next()
            return False
        self.seconds = time.monotonic() - self.start
        if code != 0:
            self.note = self.note or f"exit status {code}"
        self._count(code == 0)
        return True

    def end(self, signal):
        os.killpg(self.process.pid, signal)

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


def build(mode, *targets, **kw):
    return Stage(f"build-{mode}", make("all", "tools", *targets, mode=mode), minutes=15, **kw)


def integration(mode, *args, minutes=20, jobs=min(16, 3 * os.cpu_count()), name=None, env=None, after=()):
    # more jobs than cores: the tests wait often
    return Stage(name or f"integration-{mode}", pytest(mode, *args, jobs=jobs),
                 minutes=minutes, env={"BUILD": f"build/{mode}", **(env or {})}, after=after)


def check():
    """Two lanes of stages, about as long as each other. The integration tests wait often, so something else runs
    beside them. Only the bench runs alone, because it measures."""
    return [
        [build("release", "benches"),
         Stage("bench", [*PYTEST[:-1], "-n", "2", "tests/bench"], after=["clients"]),
         integration("release", "-m", "not long"),
         integration("asan", "-m", "not long", after=["build-asan"])],
        [clients(),
         build("asan", "units", "fuzzers", after=["bench"]), build("tsan"),
         Stage("unit-release", make("units"), unit("release"), minutes=15),
         Stage("unit-asan", unit("asan"), minutes=15),
         Stage("replay-asan", make("replay", mode="asan")),
         Stage("headers", make("headers")), Stage("layers", make("layers")), *format_check(),
         Stage("collect", pytest("release", "--collect-only", jobs=0)),
         Stage("instructions", ["/usr/bin/python3", "tests/bench/instructions.py", "--check"]),
         integration("tsan", "-m", "not long")],
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
    return [stages]


def format_check():
    """Other versions of clang-format format differently."""
    try:
        version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return []
    return [Stage("format", make("format-check"))] if " version 14." in version else []


def show(stage):
    if stage.failed:
        print(stage.log.read_text(errors="replace")[-8000:])
    print(f"    {stage.name}: {stage.passed} passed, {stage.failed} failed, {stage.skipped} skipped, "
          f"{stage.seconds:.0f} s, CPU {stage.cpu:.0f} s {stage.note}", flush=True)
    for line in stage.not_run:
        print(f"    {line}", flush=True)


def running(lanes):
    return [lane[0] for lane in lanes if lane and lane[0].process]


def run(lanes):
    """Runs the stages of each lane one after the other. Prints a line every half minute, so that nobody takes a
    long stage for a hang."""
    names = {s.name for lane in lanes for s in lane}
    ended, told = set(), time.monotonic()
    try:
        while any(lanes):
            for lane in filter(None, lanes):
                stage = lane[0]
                if stage.process:
                    if stage.has_ended():
                        ended.add(lane.pop(0).name)
                        show(stage)
                elif ended.issuperset(names.intersection(stage.after)):
                    print(f"--- {stage.name}", flush=True)
                    stage.begin()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                print("    ...", ", ".join(f"{s.name} {told - s.start:.0f} s" for s in running(lanes)), flush=True)
            time.sleep(0.1)
    except KeyboardInterrupt:
        for stage in running(lanes):
            stage.end(15)
        raise


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
    lanes = [[s for s in lane if s.name in sys.argv[2:] or not sys.argv[2:]] for lane in suites[sys.argv[1]]()]
    stages = [s for lane in lanes for s in lane]
    LOGS.mkdir(parents=True, exist_ok=True)
    keep_compiled_tests()
    start = time.monotonic()
    run(lanes)
    print(f"\n{'stage':24}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}{'CPU':>6}")
    for s in stages:
        print(f"{s.name:24}{s.passed:8}{s.failed:8}{s.skipped:8}{s.seconds:9.0f}{s.cpu:6.0f} {s.note}")
    failed = sum(s.failed for s in stages)
    print(f"{time.monotonic() - start:57.0f}{sum(s.cpu for s in stages):6.0f}\n")
    print(f"{sum(s.passed for s in stages)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
