/* SPDX-License-Identifier: Apache-2.0 */
/* The modes of wampbench, and what each of them hands to the report. One thread. */
#ifndef TESTS_BENCH_MODES_H
#define TESTS_BENCH_MODES_H

#include "tests/bench/measure.h"

#include <stdbool.h>
#include <stdint.h>

/* A result that belongs to one mode, such as memory per session. */
struct figure {
	const char *name; /* with its unit, as a JSON key */
	double value;
};

enum { MAX_FIGURES = 12 };

struct result {
	const char *unit;       /* what is counted: "call", "delivery", "login" */
	uint64_t messages;      /* in the measured time */
	struct usage from, to;  /* the measured time */
	struct histogram delay; /* of messages in the measured time */
	uint64_t total;         /* messages altogether */
	uint64_t lost, doubled, reordered;
	struct figure figure[MAX_FIGURES];
	unsigned figures;
	bool finished; /* false: no progress, or the router threw somebody out */
};

extern struct result result;

void add_figure(const char *name, double value);

/* Each runs to its end and leaves what it found in result. */
void run_rpc(void);
void run_pubsub(void);
void run_login(void);
void run_idle(void);
void run_storm(void);

/*
 * Subscribes to (or registers) opt.preload URIs that nobody uses, on a session of its own
 * that stays until preload_leave; adds the router's memory for each as a figure. False if
 * the router refuses. Sets conn_handler.
 */
bool preload(bool registrations);
void preload_leave(void);

#endif
