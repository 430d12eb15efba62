/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for wampbench and relay, over the same OpenSSL as routerd, and with one read and one
 * write of the socket for any number of records. One thread. */
#ifndef TESTS_BENCH_TLS_H
#define TESTS_BENCH_TLS_H

#include <stddef.h>
#include <sys/types.h>

struct tls;

/* Begins TLS on a connected socket: a server's with these PEM files, or a client's, which
 * trusts everybody, if they are NULL. Exits on failure. */
struct tls *tls_open(int fd, const char *certificate, const char *key);
void tls_close(struct tls **t);

/* Like recv and send, on t, or on the socket itself if t is NULL. tls_send takes all
 * bytes, and waits until they are written, once the handshake is done. */
ssize_t tls_recv(struct tls *t, int fd, void *data, size_t size);
ssize_t tls_send(struct tls *t, int fd, const void *data, size_t len);

#endif
