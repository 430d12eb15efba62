# SPDX-License-Identifier: Apache-2.0
# One Makefile, no recursion. `make help` lists the targets.
#
# MODE=release|debug|asan|tsan|fuzz chooses the flags and the folder below build/.

MODE   ?= release
CC     ?= cc
V      ?= 0
PYTHON ?= /usr/bin/python3
PORT   ?= 8080
TESTS  ?= tests/integration
prefix     ?= /usr/local
sbindir    ?= $(prefix)/sbin
bindir     ?= $(prefix)/bin
sysconfdir ?= /etc
unitdir    ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
docdir     ?= $(prefix)/share/doc/routerd

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
Q := $(if $(filter 1,$(V)),,@)

# --- flags ---------------------------------------------------------------------------------

# must come before $(CC) is run below
ifeq ($(MODE),fuzz)
CC := clang
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Walloca \
        -Wundef -Wformat=2 -Wconversion -Wno-sign-conversion -Wnull-dereference \
        -Wimplicit-fallthrough -Wredundant-decls
IS_GCC := $(shell $(CC) --version 2>/dev/null | grep -qi clang || echo yes)
ifeq ($(IS_GCC),yes)
WARN += -Wcast-align=strict -Wduplicated-cond -Wduplicated-branches -Wlogical-op
endif

# not -ftrivial-auto-var-init: it would zero a token reader (1.5 KiB) for every message
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
BASE   := -std=c11 -D_GNU_SOURCE -I. $(WARN) -g -fno-strict-aliasing -fno-common \
          -fno-omit-frame-pointer -fvisibility=hidden -pthread
FLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -fPIE $(HARDEN)
FLAGS_debug   := -O0 -DEXPENSIVE_CHECKS -fPIE
# -g1: a report of a sanitizer needs only the lines
FLAGS_asan    := -O1 -g1 -DEXPENSIVE_CHECKS -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan    := -O1 -g1 -DEXPENSIVE_CHECKS -fsanitize=thread
FLAGS_fuzz    := -O1 -DEXPENSIVE_CHECKS -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=all
LINK_release  := -pie -Wl,-z,relro,-z,now
LINK_debug    := -pie
LINK_asan     := -fsanitize=address,undefined
LINK_tsan     := -fsanitize=thread
LINK_fuzz     := -fsanitize=address,undefined
ifeq ($(FLAGS_$(MODE)),)
$(error MODE=$(MODE) is not one of release, debug, asan, tsan, fuzz)
endif

CFLAGS_ALL = $(BASE) $(FLAGS_$(MODE)) $(FLAGS_OF_UNIT) $(CFLAGS)
LDFLAGS_ALL = -pthread $(LINK_$(MODE)) -Wl,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
# link by name: Debian's packages of wslay and msgpack-c have no common way to use pkg-config
LIBS := -levent_core -lsodium -lwslay -lmsgpackc -lyaml -lssl -lcrypto -lsqlite3 -ljansson -lz
LIBS := $(shell [ -e /usr/include/msgpack.h ] && ls /usr/lib/*/libmsgpack-c.so >/dev/null 2>&1 \
          && echo $(subst -lmsgpackc,-lmsgpack-c,$(LIBS)) || echo $(LIBS))

# --- what is built from what ---------------------------------------------------------------

B := build/$(MODE)
obj = $(patsubst %.c,$(B)/%.o,$(1))

COMMON_SRC  := $(wildcard common/*.c)
PROTO_SRC   := $(wildcard proto/*.c)
ROUTERD_SRC := $(wildcard routerd/*.c routerd/*/*.c)
AUTHD_SRC   := $(wildcard authd/*.c)
CTL_SRC     := $(wildcard authd/ctl/*.c)
UNIT_SRC    := $(wildcard tests/unit/test_*.c)
FUZZ_SRC    := $(wildcard tests/fuzz/fuzz_*.c)
TOOL_SRC    := $(wildcard tests/tools/*.c)
BENCH_SRC   := $(wildcard tests/bench/*.c)
HEADERS     := $(wildcard common/*.h proto/*.h routerd/*.h routerd/*/*.h authd/*.h authd/ctl/*.h)
ALL_C       := $(COMMON_SRC) $(PROTO_SRC) $(ROUTERD_SRC) $(AUTHD_SRC) $(CTL_SRC) $(UNIT_SRC) \
               $(FUZZ_SRC) $(TOOL_SRC) $(BENCH_SRC) $(wildcard tests/fuzz/*.c)

# The libraries hold everything but the mains, so that a test can link any part and replace another.
LIBCOMMON  := $(B)/libcommon.a
LIBPROTO   := $(B)/libproto.a
LIBROUTERD := $(B)/librouterd.a
LIBAUTHD   := $(B)/libauthd.a
PROGRAMS   := $(addprefix $(B)/,routerd/routerd authd/authd authd/authctl)
UNITS      := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
FUZZERS    := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
TOOLS      := $(patsubst tests/tools/%.c,$(B)/tools/%,$(TOOL_SRC))
BENCHES     := $(addprefix $(B)/bench/,wampbench relay)

$(LIBCOMMON):  $(call obj,$(COMMON_SRC))
$(LIBPROTO):   $(call obj,$(PROTO_SRC))
$(LIBROUTERD): $(call obj,$(filter-out %/main.c,$(ROUTERD_SRC)))
$(LIBAUTHD):   $(call obj,$(filter-out %/main.c,$(AUTHD_SRC)))
%.a:
	$(Q)rm -f $@; ar rcs $@ $^

$(B)/routerd/routerd: $(B)/routerd/main.o $(LIBROUTERD) $(LIBPROTO) $(LIBCOMMON)
$(B)/authd/authd: $(B)/authd/main.o $(LIBAUTHD) $(LIBPROTO) $(LIBCOMMON)
$(B)/authd/authctl: $(call obj,$(CTL_SRC)) $(LIBPROTO) $(LIBCOMMON)
$(PROGRAMS):
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/unit/%: $(B)/tests/unit/%.o $(LIBROUTERD) $(LIBAUTHD) $(LIBPROTO) $(LIBCOMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) $(WRAPPED) -o $@ $^ $(LIBS) -lcmocka -lcbor
# These tests wrap the allocations of all objects (not of libraries), to make them fail.
WRAP := $(foreach f,malloc calloc realloc aligned_alloc strndup free,-Wl,--wrap=$(f))
$(B)/unit/test_workers $(B)/unit/test_questions $(B)/unit/test_collector $(B)/unit/test_outbox \
  $(B)/unit/test_tls_memory: \
  private WRAPPED := $(WRAP)
$(B)/tools/%: $(B)/tests/tools/%.o $(LIBROUTERD) $(LIBPROTO) $(LIBCOMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
# the bench shares no code with what it measures
$(B)/bench/wampbench: $(call obj,$(filter-out %/relay.c,$(BENCH_SRC)))
$(B)/bench/relay: $(B)/tests/bench/relay.o $(B)/tests/bench/tls.o
$(BENCHES):
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lssl -lcrypto -lsodium -lm
# In MODE=fuzz, link a fuzz target with libFuzzer; else with a main that replays the corpus.
$(B)/fuzz/%: $(B)/tests/fuzz/%.o $(if $(filter fuzz,$(MODE)),,$(B)/tests/fuzz/replay.o) \
             $(LIBROUTERD) $(LIBAUTHD) $(LIBPROTO) $(LIBCOMMON)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_ALL) $(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

$(B)/%.o: %.c $(B)/flags.stamp
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
-include $(patsubst %.c,$(B)/%.d,$(ALL_C))
# A unit test takes longer to compile than to run, so it is not optimized. What it tests is.
$(B)/tests/unit/%.o: private FLAGS_OF_UNIT := -O0 -U_FORTIFY_SOURCE

# Rewrite the stamp only if the compiler or the flags have changed; every object depends on it.
$(B)/flags.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIBS)' | cmp -s - $@ || \
	 echo '$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LIBS)' > $@
.SECONDARY:
.PHONY: FORCE
FORCE:

# --- targets -------------------------------------------------------------------------------

.PHONY: all tools units unit fuzzers replay headers layers format format-check clean help
.PHONY: bench bench-workers bench-peers benches deps clients demo run integ check check-long soak mutants install uninstall
all: $(PROGRAMS) ## build routerd, authd and authctl
benches: $(BENCHES) ## build wampbench and relay
tools: $(TOOLS) ## build the test programs that the integration tests use

units: $(UNITS) ## build the unit tests
unit: $(UNITS) ## build and run the unit tests
	$(Q)printf '%s\n' $(UNITS) | xargs -P2 -I{} sh -c \
	  'out=$$({} 2>&1); status=$$?; printf "%s\n" "$$out"; exit $$((status != 0))'

fuzzers: $(FUZZERS) ## build the fuzz targets (MODE=fuzz), or programs that replay the corpus
replay: $(FUZZERS) ## run every fuzz target on its corpus
	$(Q)set -e; for f in $(FUZZERS); do $$f tests/fuzz/corpus/$$(basename $$f | sed s/^fuzz_//); done

headers: ## check that every header compiles alone
	$(Q)set -e; for h in $(HEADERS); do printf '#include "%s"\ntypedef int not_empty;\n' $$h | \
	  $(CC) $(BASE) -Werror -fsyntax-only -x c - || { echo "$$h"; exit 1; }; done
	@echo "headers: each of $(words $(HEADERS)) compiles alone"

layers: ## check the directions of includes and calls, and that no name is used twice
	$(Q)sh tests/layers.sh

format: ## format the sources (clang-format 14)
	$(Q)clang-format -i $(HEADERS) $(sort $(ALL_C))
format-check: ## fail if clang-format would change something
	$(Q)clang-format --dry-run -Werror $(HEADERS) $(sort $(ALL_C))

deps: ## install missing Debian packages
	$(Q)sh etc/demo/install-packages.sh etc/demo/packages.txt tests/packages.txt
demo: ## build, start both daemons, log in with a known and an unknown key (PORT)
	$(Q)PORT=$(PORT) sh etc/demo/demo.sh
run: ## build, start both daemons, run until Ctrl-C (PORT)
	$(Q)PORT=$(PORT) sh etc/demo/demo.sh --serve
integ: deps clients all tools ## run the integration tests (MODE, TESTS=tests/integration/test_login.py, ARGS for pytest)
	$(Q)BUILD=$(B) $(PYTHON) -m pytest -q -rs $(TESTS) $(ARGS)
bench: all $(BENCHES) ## measure routerd against relay, which only moves bytes (ARGS: --help)
	$(Q)$(PYTHON) tests/bench/bench.py $(ARGS)
bench-workers: all $(BENCHES) ## measure the gain from a second worker, and the cost of a message between workers
	$(Q)$(PYTHON) tests/bench/workers.py $(ARGS)
bench-peers: all $(BENCHES) ## measure routerd and other routers, and write etc/doc/benchmarks.md
	$(Q)$(PYTHON) tests/bench/peers.py $(ARGS)
clients: ## install the real clients that Debian does not package
	$(Q)sh tests/clients.sh
check: deps ## run every test (15 minutes)
	$(Q)$(PYTHON) tests/run.py check
check-long: deps ## run the slow tests: all combinations, sanitizers, valgrind, chroots
	$(Q)$(PYTHON) tests/run.py check-long

MINUTES ?= 10
soak: deps all ## mix features at random in 50 sessions (MODE, MINUTES=10 or SECONDS, SEED)
	$(Q)BUILD=$(B) $(PYTHON) tests/soak/soak.py --seconds $(or $(SECONDS),$$(($(MINUTES) * 60))) \
	  $(if $(SEED),--seed $(SEED)) $(ARGS)

mutants: deps ## plant 100 faults, one at a time, and print those that no test finds (ARGS: --help)
	$(Q)$(PYTHON) tests/mutants.py $(ARGS)

# install never overwrites a configuration file
install: all ## install below DESTDIR (prefix, sbindir, bindir, sysconfdir, unitdir, ...)
	install -d $(addprefix $(DESTDIR),$(sbindir) $(bindir) $(unitdir) $(sysusersdir) $(tmpfilesdir) \
	  $(docdir)/etc/doc $(docdir)/examples $(docdir)/proto/golden $(sysconfdir)/routerd $(sysconfdir)/authd)
	install -m 755 $(B)/routerd/routerd $(B)/authd/authd $(DESTDIR)$(sbindir)
	install -m 755 $(B)/authd/authctl $(DESTDIR)$(bindir)
	set -e; for u in routerd.service authd.service authd.socket; do \
	  sed 's|@sbindir@|$(sbindir)|; s|@sysconfdir@|$(sysconfdir)|' etc/systemd/$$u \
	    > $(DESTDIR)$(unitdir)/$$u; chmod 644 $(DESTDIR)$(unitdir)/$$u; done
	install -m 644 etc/sysusers/wamp-router.conf $(DESTDIR)$(sysusersdir)
	install -m 644 etc/tmpfiles/wamp-router.conf $(DESTDIR)$(tmpfilesdir)
	install -m 644 README.md LICENSE $(DESTDIR)$(docdir)
	install -m 644 proto/auth-protocol.md $(DESTDIR)$(docdir)/proto
	install -m 644 proto/golden/auth.txt $(DESTDIR)$(docdir)/proto/golden
	install -m 644 etc/doc/* $(DESTDIR)$(docdir)/etc/doc
	cp -r etc/examples/. $(DESTDIR)$(docdir)/examples
	set -e; for d in routerd authd; do \
	  [ -e $(DESTDIR)$(sysconfdir)/$$d/$$d.yaml ] || \
	  install -m 644 etc/systemd/$$d.yaml $(DESTDIR)$(sysconfdir)/$$d/$$d.yaml; done
uninstall: ## stop and disable the services, remove the installed files except configuration
	[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || \
	  systemctl disable --now routerd.service authd.service authd.socket || true
	rm -f $(DESTDIR)$(sbindir)/routerd $(DESTDIR)$(sbindir)/authd $(DESTDIR)$(bindir)/authctl
	rm -f $(addprefix $(DESTDIR)$(unitdir)/,routerd.service authd.service authd.socket)
	rm -f $(DESTDIR)$(sysusersdir)/wamp-router.conf $(DESTDIR)$(tmpfilesdir)/wamp-router.conf
	[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
	rm -rf $(DESTDIR)$(docdir)

clean: ## remove build/
	rm -rf build
help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t16
