/* SPDX-License-Identifier: Apache-2.0 */
/* The modes of wampbench, and the results that they give to the report. One thread. */
#ifndef TESTS_BENCH_MODES_H
#define TESTS_BENCH_MODES_H

#include "tests/bench/measure.h"

#include <stdbool.h>
#include <stdint.h>

/* A result of one mode, such as memory per session. */
struct figure {
	const char *name; /* with its unit; the key in JSON */
	double value;
};

enum { MAX_FIGURES = 12 };

struct result {
	const char *unit;       /* what is counted: "call", "delivery", "login" */
	uint64_t messages;      /* during the measurement */
	struct usage from, to;  /* at the begin and end of the measurement */
	struct histogram delay; /* of messages during the measurement */
	uint64_t total;         /* of the whole run */
	uint64_t lost, doubled, reordered;
	struct figure figure[MAX_FIGURES];
	unsigned figures;
	bool finished; /* false: no progress, or the router closed a session */
};

extern struct result result;

void add_figure(const char *name, double value);

/* Each runs to its end and fills result. */
void run_rpc(void);
void run_pubsub(void);
void run_login(void);
void run_idle(void);
void run_storm(void);

/* Subscribes to (or registers) opt.preload unused URIs, on a session of its own that
 * stays until preload_leave. Adds the router's memory for each as a figure. False if the
 * router refuses. Sets conn_handler. */
bool preload(bool registrations);
void preload_leave(void);

#endif
