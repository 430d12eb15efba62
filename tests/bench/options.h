/* SPDX-License-Identifier: Apache-2.0 */
/* What wampbench was asked to do: written by its main alone, read by every part. */
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
	const char *host; /* of the request */
	const char *path; /* of the request */
	const char *realm;
	enum format format; /* of senders, and of receivers unless told otherwise */
	enum format receiver_format[MAX_FORMATS]; /* receivers take turns */
	unsigned receiver_formats;
	const char *authid;
	bool cryptosign;
	uint8_t secret[64]; /* libsodium's form of the private key */
	char public_hex[65];
	/* who is measured */
	pid_t pid[MAX_PIDS];
	unsigned pids;
	/* the load */
	unsigned senders;
	unsigned receivers;
	unsigned window; /* in flight of each sender; or logins at once */
	bool burst;      /* fill the window only when it is empty */
	unsigned size;   /* bytes of payload text */
	double rate;     /* messages per second of all senders; 0: as fast as possible */
	double warmup;   /* seconds */
	double seconds;
	uint64_t count;   /* messages or logins instead of seconds; or sessions */
	unsigned topics;  /* idle: subscriptions are spread over these; 0: each its own */
	unsigned preload; /* subscriptions and registrations that nobody uses */
	double first_delay; /* storm: seconds before the first attempt */
	double deadline;    /* seconds without progress that mean failure */
	const char *uri;    /* prefix of all topics and procedures */
	bool json;          /* print JSON instead of a line */
};

extern struct options opt;

/* Fills secret and public_hex from a private key; ends the program if it is none. */
void read_key_file(const char *path);

#endif
