/* SPDX-License-Identifier: Apache-2.0 */
/* common/log with a standard error that cannot be written. A child logs to it and must
 * not wait; the parent reads the output. Every line must arrive or be counted as dropped.
 */
#include "common/log.h"

#include "common/loop.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	LINES = 20000, /* over 1 MiB: more than the log's buffer and a pipe can hold */
	PATIENCE_MS = 10000,
};

/* The child's report about itself. */
struct report {
	uint64_t took_ms;
	unsigned logged; /* lines so far */
	struct log_counters counters;
};

static struct {
	pid_t pid;
	int say, hear; /* pipes to the child, and from it */
} child;

static void report(int to, uint64_t since_ns, unsigned logged)
{
	struct report r = {
		.took_ms = (clock_now_ns() - since_ns) / 1000000,
		.logged = logged,
		.counters = log_counters(),
	};

	if (write(to, &r, sizeof(r)) != sizeof(r))
		_exit(2);
}

/* Logs a last line until it is not dropped. Returns the number of attempts. */
static unsigned log_last_line(void)
{
	uint64_t dropped;
	unsigned n = 0;

	do {
		if (n > 0)
			poll(NULL, 0, 1);
		dropped = log_counters().dropped;
		log_info("test", "the last line");
		n++;
	} while (log_counters().dropped != dropped && n < PATIENCE_MS);
	return n;
}

static void child_main(int err, int hear, int say)
{
	uint64_t start = clock_now_ns();
	unsigned logged = LINES;
	char go = 'e';

	if (err == -1)
		close(STDERR_FILENO);
	else
		dup2(err, STDERR_FILENO);
	alarm(60);
	if (log_start() != 0)
		_exit(1);
	for (int i = 0; i < LINES; i++)
		log_info("test", "line number=%d", i);
	report(say, start, logged);
	if (read(hear, &go, 1) == 1 && go == 'l') /* let the file grow again */
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
	if (go != 'e')
		logged += log_last_line();
	start = clock_now_ns();
	log_end();
	report(say, start, logged);
	_exit(0);
}

/* Starts a child with this standard error; -1: with none. Closes err. */
static void child_start(int err)
{
	int to[2], from[2];

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	child.pid = fork();
	assert_int_not_equal(child.pid, -1);
	if (child.pid == 0) {
		close(to[1]);
		close(from[0]);
		child_main(err, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	if (err != -1)
		close(err);
	child.say = to[1];
	child.hear = from[0];
}

/* The child's report. It must not have waited for a reader. */
static struct report child_report(void)
{
	struct report r;

	assert_int_equal(read(child.hear, &r, sizeof(r)), sizeof(r));
	assert_in_range(r.took_ms, 0, PATIENCE_MS);
	return r;
}

static void child_end(void)
{
	int status;

	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	assert_int_equal(status, 0);
	close(child.say);
	close(child.hear);
}

static void go_on(char how)
{
	assert_int_equal(write(child.say, &how, 1), 1);
}

/* --- what arrives --- */

static struct {
	int next; /* the lowest number that may come next */
	unsigned long lines, dropped;
	bool last; /* the last line has come */
} got;

static void take_line(const char *line)
{
	const char *number = strstr(line, "line number="),
		   *dropped = strstr(line, "dropped count=");

	if (number != NULL && strchr(number, '\n') != NULL) {
		int i = atoi(number + 12);
		assert_true(i >= got.next);
		got.next = i + 1;
		got.lines++;
	} else if (dropped != NULL) {
		assert_non_null(strstr(line, "warn"));
		got.dropped += strtoul(dropped + 14, NULL, 10);
	} else if (strstr(line, "the last line") != NULL) {
		got.last = true;
		got.lines++;
	}
}

/* Reads lines until the end, which for a pty is the error EIO. */
static void read_all(int fd)
{
	FILE *f = fdopen(fd, "r");
	char line[4096];

	memset(&got, 0, sizeof(got));
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		take_line(line);
	fclose(f);
}

/* Nobody reads while the child logs, then somebody does. */
static void nobody_reads_then_somebody(int err, int reader)
{
	child_start(err);
	assert_true(child_report().counters.dropped > 0);
	go_on('g');
	read_all(reader);
	struct report r = child_report();
	child_end();
	assert_true(got.last);
	assert_true(got.lines > 0 && got.dropped > 0);
	assert_int_equal(got.lines + got.dropped, r.logged);
	assert_int_equal(got.dropped, r.counters.dropped);
}

static void test_a_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	nobody_reads_then_somebody(fds[1], fds[0]);
}

/* Like journald's socket. */
static void test_a_socket(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	nobody_reads_then_somebody(fds[1], fds[0]);
}

/* Each write has whole lines, and at most as many bytes as a pipe takes atomically, so
 * that other writers cannot tear them. A datagram socket shows the single writes. */
static void test_writes_hold_whole_lines(void **state)
{
	static char record[64 * 1024];
	size_t longest = 0;
	ssize_t n;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	child_start(fds[1]);
	assert_true(child_report().counters.dropped > 0);
	go_on('g');
	while ((n = recv(fds[0], record, sizeof(record), 0)) > 0) {
		assert_in_range(n, 1, PIPE_BUF);
		assert_int_equal(record[n - 1], '\n');
		longest = (size_t)n > longest ? (size_t)n : longest;
	}
	child_report();
	child_end();
	close(fds[0]);
	assert_in_range(longest, PIPE_BUF / 2, PIPE_BUF); /* many lines at once */
}

static int open_terminal(int *master_out)
{
	struct termios t;
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_int_not_equal(master, -1);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_int_not_equal(slave, -1);
	assert_int_equal(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(slave, TCSANOW, &t), 0);
	*master_out = master;
	return slave;
}

static void test_a_terminal_that_hangs(void **state)
{
	int master, slave = open_terminal(&master);

	(void)state;
	nobody_reads_then_somebody(slave, master);
}

/* As if somebody had typed Control-S. */
static void test_a_terminal_that_is_stopped(void **state)
{
	int master, slave = open_terminal(&master), other = dup(slave);

	(void)state;
	assert_int_equal(tcflow(slave, TCOOFF), 0);
	child_start(slave);
	assert_true(child_report().counters.dropped > 0);
	assert_int_equal(poll(&(struct pollfd){.fd = master, .events = POLLIN}, 1, 0), 0);
	assert_int_equal(tcflow(other, TCOON), 0);
	close(other);
	go_on('g');
	read_all(master);
	struct report r = child_report();
	child_end();
	assert_true(got.last);
	assert_int_equal(got.lines + got.dropped, r.logged);
}

/* Another process has made the pipe non-blocking. */
static void test_a_nonblocking_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
	nobody_reads_then_somebody(fds[1], fds[0]);
}

/* Without any reader the child still ends. */
static void test_the_end_does_not_wait_for_long(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	child_start(fds[1]);
	child_report();
	go_on('e');
	assert_in_range(child_report().took_ms, 500, 5000);
	child_end();
	close(fds[0]);
}

/* Lines that cannot be written are all counted. */
static void nothing_can_be_written(int err)
{
	child_start(err);
	child_report();
	go_on('e');
	struct report r = child_report();
	child_end();
	assert_int_equal(r.counters.written, 0);
	assert_int_equal(r.counters.dropped, LINES);
}

static void test_a_full_file_system(void **state)
{
	(void)state;
	nothing_can_be_written(open("/dev/full", O_WRONLY | O_CLOEXEC));
}

static void test_no_standard_error(void **state)
{
	(void)state;
	nothing_can_be_written(-1);
}

static void test_a_pipe_without_reader(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	nothing_can_be_written(fds[1]);
}

/* The file reaches its limit within a line. When it may grow again, output continues at
 * the begin of a line. */
static void test_a_file_that_may_not_grow(void **state)
{
	char path[] = "/tmp/test_log.XXXXXX";
	int fd = mkostemp(path, O_APPEND);
	struct rlimit before;

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10, before.rlim_max}),
			 0);
	child_start(fd);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(child_report().counters.dropped > 0);
	go_on('l');
	struct report r = child_report();
	child_end();
	read_all(open(path, O_RDONLY));
	unlink(path);
	assert_true(got.last);
	assert_int_equal(got.lines + got.dropped, r.logged);
	assert_int_equal(got.dropped, r.counters.dropped);
}

static void test_rate(void **state)
{
	struct log_rate r = {.burst = 2};
	unsigned dropped = 99;

	(void)state;
	assert_true(log_rate_ok(&r, 5000, &dropped));
	assert_int_equal(dropped, 0);
	assert_true(log_rate_ok(&r, 5999, &dropped));
	assert_false(log_rate_ok(&r, 5999, &dropped));
	assert_false(log_rate_ok(&r, 5999, &dropped));
	assert_true(log_rate_ok(&r, 6000, &dropped));
	assert_int_equal(dropped, 2);
	assert_true(log_rate_ok(&r, 6000, &dropped));
	assert_int_equal(dropped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pipe),
		cmocka_unit_test(test_a_socket),
		cmocka_unit_test(test_writes_hold_whole_lines),
		cmocka_unit_test(test_a_terminal_that_hangs),
		cmocka_unit_test(test_a_terminal_that_is_stopped),
		cmocka_unit_test(test_a_nonblocking_pipe),
		cmocka_unit_test(test_the_end_does_not_wait_for_long),
		cmocka_unit_test(test_a_full_file_system),
		cmocka_unit_test(test_no_standard_error),
		cmocka_unit_test(test_a_pipe_without_reader),
		cmocka_unit_test(test_a_file_that_may_not_grow),
		cmocka_unit_test(test_rate),
	};

	signal(SIGXFSZ, SIG_IGN); /* the limit applies to this program, too */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
