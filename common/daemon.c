/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every daemon does at start and when signalled; see daemon.h. Runs on the main
 * thread.
 */
#include "common/daemon.h"

#include "common/err.h"
#include "common/sock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	FIRST_FD = 3, /* SD_LISTEN_FDS_START */
	MAX_FDS = 64, /* sockets from the service manager; further ones are ignored */
	NOTIFY_S = 1, /* longest wait for the service manager to take a message */
};

/* --- starting --- */

static void prepare(void)
{
	static const int ignored[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	/* open returns the lowest free number, so this fills the numbers 0 to 2. */
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd != -1 && fd <= STDERR_FILENO);
	sock_close(&fd);
}

int daemon_main(int argc, char **argv, const char *name, const char *version,
		const char *help, int (*run)(const char *path, bool only_check))
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", required_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	const char *path[2] = {NULL, NULL}; /* the file to run with; the file to check */
	int o;

	prepare();
	while ((o = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (o) {
		case 'c':
		case 'k':
			path[o == 'k'] = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return EX_OK;
		case 'V':
			printf("%s %s\n", name, version);
			return EX_OK;
		default:
			fprintf(stderr, "Try %s --help\n", name);
			return EX_USAGE;
		}
	}
	/* Exactly one of -c and --check must be given. */
	if (optind != argc || (path[0] == NULL) == (path[1] == NULL)) {
		fprintf(stderr, "%s: expected either -c FILE or --check FILE\n\n", name);
		fputs(help, stderr);
		return EX_USAGE;
	}
	if (sodium_init() == -1) {
		fprintf(stderr, "%s: cannot initialise libsodium\n", name);
		return EX_OSERR;
	}
	bool only_check = path[1] != NULL;
	return run(path[only_check], only_check);
}

/* Does journald read standard error? See systemd.exec(5). */
static bool stderr_is_journal(void)
{
	const char *journal = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (journal == NULL || fstat(STDERR_FILENO, &st) == -1)
		return false;
	(void)snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino);
	return strcmp(own, journal) == 0;
}

/*
 * Prints errors or warnings about the configuration, which says how to log and may not be
 * known. journald gets the priority of each line.
 */
static void print_lines(const char *text, enum log_level level)
{
	bool journal = stderr_is_journal();

	while (*text != '\0') {
		int len = (int)strcspn(text, "\n");

		if (journal)
			fprintf(stderr, "<%d>", log_priorities[level]);
		fprintf(stderr, "%.*s\n", len, text);
		text += len + (text[len] == '\n');
	}
}

int daemon_refuse_config(const struct conf_error *errors)
{
	print_lines(errors->text, LOG_LEVEL_ERROR);
	return EX_CONFIG;
}

int daemon_approve_config(const char *path, const struct conf_error *warnings,
			  const char *summary)
{
	if (warnings->warnings > 0)
		print_lines(warnings->text, LOG_LEVEL_WARN);
	printf("%s: ok%s\n", path, summary);
	return EX_OK;
}

/* By default libevent writes to standard error itself, which might block. */
static void log_libevent(int severity, const char *text)
{
	(void)severity;
	log_warn(NULL, "libevent has logged a warning reason=\"%s\"",
		 log_quote_text(slice_str(text)).text);
}

int daemon_start_log(const struct conf_log *how, const struct conf_error *warnings)
{
	log_init(how->level, how->format);
	event_set_log_callback(log_libevent);
	int err = log_start();
	if (err != 0)
		log_error(NULL,
			  "cannot start reason=\"out of memory for the log's thread\"");
	else
		conf_log_warnings(warnings);
	return err;
}

void daemon_log_counters(void)
{
	struct log_counters c = log_counters();

	counters_log(NULL, "counters log", &(struct counter_set){&log_counter_table, &c},
		     1);
}

/* --- signals --- */

static void refuse_reload(const char *name)
{
	static struct log_rate rate = {.burst = 1};

	log_limited(&rate, clock_now_ns() / 1000000, LOG_LEVEL_WARN, NULL,
		    "cannot reload: restart %s to apply a changed configuration "
		    "signal=HUP suppressed=%u",
		    name);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct daemon_signals *s = arg;

	(void)what;
	if (number == SIGHUP) {
		if (s->reload == NULL)
			refuse_reload(s->name);
		else if (!s->stopping)
			s->reload(s->arg);
	} else if (number == SIGUSR1) {
		s->log_counters(s->arg);
	} else if (number == SIGUSR2) {
		if (s->usr2 != NULL)
			s->usr2();
	} else if (!s->stopping) {
		s->stopping = true;
		log_info(NULL, "stopping signal=%s", sigabbrev_np(number));
		daemon_notify("STOPPING=1");
		s->stop(s->arg);
	}
}

int daemon_signals_init(struct daemon_signals *s, struct loop *l)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

	static_assert(ARRAY_LEN(numbers) == DAEMON_SIGNALS,
		      "struct daemon_signals has one event for each signal");
	for (size_t i = 0; i < DAEMON_SIGNALS; i++) {
		/* Deleting the event restores this disposition, so that a second SIGTERM
		 * during shutdown is ignored. */
		signal(numbers[i], SIG_IGN);
		evsignal_assign(&s->events[i], loop_base(l), numbers[i], on_signal, s);
		if (evsignal_add(&s->events[i], NULL) != 0)
			return E_NOMEM;
	}
	return 0;
}

void daemon_signals_fini(struct daemon_signals *s)
{
	for (size_t i = 0; i < DAEMON_SIGNALS; i++)
		if (event_initialized(&s->events[i]))
			event_del(&s->events[i]);
}

/* --- the environment --- */

void daemon_raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
		log_warn(NULL, "cannot read the descriptor limit reason=\"%s\"",
			 err_str(E_SYS));
		return;
	}
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
		log_warn(NULL, "cannot raise the descriptor limit reason=\"%s\"",
			 err_str(E_SYS));
		/* Continue with the old limit, and log that one. */
		limit.rlim_cur = before;
	}
	log_info(NULL, "limit of open descriptors max=%llu",
		 (unsigned long long)limit.rlim_cur);
}

static int notify(const char *path, const char *state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(a.sun_path))
		return E_RANGE;
	memcpy(a.sun_path, path, len);
	/* '@' stands for the NUL of an abstract address. */
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return E_SYS;
	/* A service manager that does not read must not block the daemon. */
	const struct timeval most = {.tv_sec = NOTIFY_S};
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	ssize_t n;
	do {
		n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	} while (n == -1 && errno == EINTR);
	sock_close(&fd);
	return n == -1 ? E_SYS : 0;
}

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path == NULL)
		return;
	int err = notify(path, state);
	if (err != 0)
		log_warn(NULL, "cannot notify the service manager reason=\"%s\"",
			 err_str(err));
}

void daemon_notify_reloading(void)
{
	char state[64];

	/* systemd needs the time to tell this reload from an earlier one. */
	(void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)(clock_now_ns() / 1000));
	daemon_notify(state);
}

/* A decimal number from the environment, or -1 if there is none. */
static int64_t env_number(const char *name)
{
	static const struct conf_unit none[] = {{"", 1}, {NULL, 0}};
	const char *text = getenv(name);
	int64_t v;

	return text != NULL && conf_number(text, none, &v) ? v : -1;
}

static uint64_t taken; /* bit i is set: descriptor FIRST_FD + i has been returned */

static unsigned inherited_count(void)
{
	int64_t n = env_number("LISTEN_FDS");

	if (env_number("LISTEN_PID") != getpid() || n <= 0)
		return 0;
	return n > MAX_FDS ? MAX_FDS : (unsigned)n;
}

/* The i-th of names, which ':' separates. Empty if there are fewer. */
static struct slice nth_name(const char *names, unsigned i)
{
	while (names != NULL && i > 0) {
		names = strchr(names, ':');
		names += names != NULL ? 1 : 0;
		i--;
	}
	return slice_of(names, names == NULL ? 0 : strcspn(names, ":"));
}

int daemon_inherited_fd(const char *name)
{
	const char *names = getenv("LISTEN_FDNAMES");
	unsigned n = inherited_count();

	for (unsigned i = 0; i < n; i++) {
		int fd = FIRST_FD + (int)i;
		/* Two sockets may have the same name, so skip those already returned. */
		if ((taken & UINT64_C(1) << i) != 0 ||
		    !slice_eq_str(nth_name(names, i), name))
			continue;
		int flags = fcntl(fd, F_GETFL);
		if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
		    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
			log_warn(NULL,
				 "cannot use the socket from the service manager name=%s "
				 "fd=%d reason=\"%s\"",
				 name, fd, err_str(E_SYS));
			continue;
		}
		taken |= UINT64_C(1) << i;
		return fd;
	}
	return -1;
}

unsigned daemon_inherited_left(void)
{
	return inherited_count() - (unsigned)__builtin_popcountll(taken);
}
