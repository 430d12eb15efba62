/* SPDX-License-Identifier: Apache-2.0 */
/* common/counters: the tables are sound, etc/doc/counters.md lists them all, and no
 * counter is cut off in the log. One thread.
 *
 * With the environment variable PRINT set, it prints the tables as the document must have
 * them. */
#define log_write recorded_write /* in this file only */
#include "common/counters.c"
#undef log_write

#include "authd/server.h"
#include "common/listener.h"
#include "common/mailbox.h"
#include "routerd/control/control.h"
#include "routerd/control/expiry.h"
#include "routerd/control/link.h"
#include "routerd/control/questions.h"
#include "routerd/control/reload.h"
#include "routerd/core/realm.h"
#include "routerd/net/net.h"
#include "routerd/peer/peers.h"
#include "routerd/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
	const char *line; /* begins the log line in which the counters are */
	const struct counter_table *table;
} tables[] = {
	{"counters log", &log_counter_table},
	{"counters listener=", &listener_counter_table},
	{"counters listener=", &expiry_counter_table},
	{"counters authenticator", &link_counter_table},
	{"counters authenticator", &question_counter_table},
	{"counters reloads", &reload_counter_table},
	{"counters worker=", &worker_counter_table},
	{"counters worker=", &mailbox_counter_table},
	{"counters worker=", &peer_counter_table},
	{"counters worker=", &decision_counter_table},
	{"counters worker=", &net_counter_table},
	{"counters realm=", &realm_counter_table},
	{"counters connections=", &server_counter_table},
};

/* --- the tables --- */

static bool is_name(const char *s)
{
	return s[0] != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyz_") == strlen(s);
}

static void test_each_counter_has_a_place_of_its_own(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		const struct counter_table *table = tables[t].table;
		for (size_t i = 0; i < table->n; i++) {
			const struct counter_def *d = &table->defs[i];
			assert_true(is_name(d->name));
			assert_true(strlen(d->help) >= 10);
			assert_true(d->help[strlen(d->help) - 1] != '.');
			assert_null(strpbrk(d->help, "|\n\""));
			assert_true(d->offset % sizeof(uint64_t) == 0);
			assert_true(d->offset + sizeof(uint64_t) <= table->size);
			for (size_t j = 0; j < i; j++)
				assert_true(table->defs[j].offset != d->offset);
		}
	}
}

static void test_no_name_twice_in_a_line(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (size_t u = 0; u < ARRAY_LEN(tables); u++) {
			if (strcmp(tables[t].line, tables[u].line) != 0)
				continue;
			for (size_t i = 0; i < tables[t].table->n; i++)
				for (size_t j = 0; j < tables[u].table->n; j++)
					if (t != u || i != j)
						assert_string_not_equal(
							tables[t].table->defs[i].name,
							tables[u].table->defs[j].name);
		}
}

/* --- the document --- */

/* The tables of the document, in the order in which they are logged. */
static void put_tables(FILE *out)
{
	const char *line = "";

	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		const struct counter_table *table = tables[t].table;
		if (strcmp(line, tables[t].line) != 0)
			fprintf(out, "| counter | type | |\n|---|---|---|\n");
		line = tables[t].line;
		for (size_t i = 0; i < table->n; i++)
			fprintf(out, "| `%s` | %s | %s |\n", table->defs[i].name,
				table->defs[i].type == GAUGE ? "gauge" : "counter",
				table->defs[i].help);
	}
}

static void test_the_document_lists_them(void **state)
{
	static const char path[] = "etc/doc/counters.md";
	FILE *doc = fopen(path, "r");
	char *tables_now = NULL, *got = NULL, line[1000];
	size_t now_size, got_size;

	(void)state;
	if (doc == NULL)
		fail_msg("cannot open %s: run it in the root of the source", path);
	FILE *out = open_memstream(&got, &got_size);
	while (fgets(line, sizeof(line), doc) != NULL)
		if (line[0] == '|')
			fputs(line, out);
	fclose(out);
	fclose(doc);
	out = open_memstream(&tables_now, &now_size);
	put_tables(out);
	fclose(out);
	for (size_t i = 0, begin = 0; i < now_size; i++) {
		begin = i > 0 && tables_now[i - 1] == '\n' ? i : begin;
		if (got[i] != tables_now[i])
			fail_msg("%s: expected the row: %.*s", path,
				 (int)strcspn(tables_now + begin, "\n"),
				 tables_now + begin);
	}
	assert_int_equal(got_size, now_size);
	free(got);
	free(tables_now);
}

/* --- the log --- */

static char recorded[16 * LOG_LINE_MAX];
static unsigned n_recorded;

void recorded_write(enum log_level level, const char *prefix, const char *fmt, ...)
{
	size_t len = strlen(recorded);
	va_list ap;

	(void)prefix;
	assert_int_equal(level, LOG_LEVEL_INFO);
	va_start(ap, fmt);
	int n = vsnprintf(recorded + len, sizeof(recorded) - len, fmt, ap);
	va_end(ap);
	assert_in_range(n, 0, COUNTERS_LINE);
	strcat(recorded, "\n");
	n_recorded++;
}

static void forget_lines(void)
{
	recorded[0] = '\0';
	n_recorded = 0;
}

static void test_one_line(void **state)
{
	const struct log_counters log = {3, 4};
	const struct listener_counters listener = {1, 0, UINT64_MAX};
	const struct counter_set sets[] = {{&log_counter_table, &log},
					   {&listener_counter_table, &listener}};

	(void)state;
	forget_lines();
	counters_log(NULL, "counters x", sets, ARRAY_LEN(sets));
	assert_string_equal(recorded,
			    "counters x written=3 dropped=4 accepted=1 refused=0 "
			    "starved=18446744073709551615\n");
}

/* With the largest values the counters of a worker need more than one line of the log. */
static void test_what_does_not_fit_goes_into_another_line(void **state)
{
	uint64_t values[NET_COUNTER_COUNT];
	struct counter_set sets[6];
	char head[COUNTERS_HEAD_MAX];

	(void)state;
	memset(values, 0xff, sizeof(values));
	memset(head, 'h', sizeof(head) - 1);
	head[sizeof(head) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		sets[i] = (struct counter_set){&net_counter_table, values};
	forget_lines();
	counters_log(NULL, head, sets, ARRAY_LEN(sets));
	assert_true(n_recorded > 1);
	unsigned n = 0;
	for (char *line = strtok(recorded, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		assert_memory_equal(line, head, sizeof(head) - 1);
		for (char *p = line; (p = strstr(p, "=18446744073709551615")) != NULL;
		     p++)
			n++;
	}
	assert_int_equal(n, ARRAY_LEN(sets) * NET_COUNTER_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_counter_has_a_place_of_its_own),
		cmocka_unit_test(test_no_name_twice_in_a_line),
		cmocka_unit_test(test_the_document_lists_them),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_what_does_not_fit_goes_into_another_line),
	};
	if (getenv("PRINT") != NULL) {
		put_tables(stdout);
		return 0;
	}
	return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
