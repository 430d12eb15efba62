/* SPDX-License-Identifier: Apache-2.0 */
/* wampbench's options: written by its main only, read everywhere. */
#ifndef TESTS_BENCH_OPTIONS_H
#define TESTS_BENCH_OPTIONS_H

#include "tests/bench/codec.h"
#include "tests/bench/measure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { MAX_SENDERS = 256, MIN_PAYLOAD = 16, MAX_FORMATS = 8 };

struct options {
	/* where and how to connect */
	struct sockaddr_storage address;
	socklen_t address_len;
	bool rawsocket;
	bool tls;
	const char *host; /* Host: header */
	const char *path; /* path of the request */
	const char *realm;
	enum format format; /* of senders, and by default of receivers */
	enum format receiver_format[MAX_FORMATS]; /* receivers take turns */
	unsigned receiver_formats;
	const char *authid;
	bool cryptosign;
	uint8_t secret[64]; /* libsodium's form of the private key */
	char public_hex[65];
	/* the measured processes */
	pid_t pid[MAX_PIDS];
	unsigned pids;
	/* the load */
	unsigned senders;
	unsigned receivers;
	unsigned window; /* messages in flight per sender; or logins at once */
	bool burst;      /* refill the window only when it is empty */
	unsigned size;   /* bytes of payload text */
	double rate;     /* messages per second of all senders; 0: unlimited */
	double warmup;   /* seconds */
	double seconds;
	uint64_t count; /* messages or logins instead of seconds; or sessions */
	/* idle: number of topics to subscribe to; 0: one for each session */
	unsigned topics;
	unsigned preload;   /* unused subscriptions and registrations */
	bool wildcards;     /* they are wildcards */
	double first_delay; /* storm: seconds before the first attempt */
	double deadline;    /* seconds without progress until the run fails */
	const char *uri;    /* prefix of all topics and procedures */
	bool json;          /* print JSON */
};

extern struct options opt;

/* Fills secret and public_hex from a private key. Exits if the file has none. */
void read_key_file(const char *path);

#endif
