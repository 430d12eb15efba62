/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by memory BIOs; see tls.h. One thread. */
#include "tests/bench/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { CIPHERTEXT = 64 * 1024 };

struct tls {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	int fd;
};

static void give_up(const char *what)
{
	fprintf(stderr, "%s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static SSL_CTX *make_context(const char *certificate, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (ctx == NULL ||
	    (certificate != NULL &&
	     (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	      SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)))
		give_up("TLS: certificate or key");
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_num_tickets(ctx, 1);
	return ctx;
}

/* Writes what OpenSSL has written. */
static void write_out(struct tls *t)
{
	char *data;
	long len = BIO_get_mem_data(t->out, &data), done = 0;

	while (done < len) {
		struct pollfd p = {.fd = t->fd, .events = POLLOUT};
		ssize_t n = send(t->fd, data + done, (size_t)(len - done), MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			break; /* the next read finds that it is closed */
		if (n > 0)
			done += n;
		else
			poll(&p, 1, -1);
	}
	(void)BIO_reset(t->out);
}

struct tls *tls_open(int fd, const char *certificate, const char *key)
{
	static SSL_CTX *ctx;
	struct tls *t = calloc(1, sizeof(*t));

	if (ctx == NULL)
		ctx = make_context(certificate, key);
	if (t == NULL || (t->ssl = SSL_new(ctx)) == NULL)
		give_up("memory");
	t->fd = fd;
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	SSL_set_bio(t->ssl, t->in, t->out);
	if (certificate != NULL)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return t;
}

void tls_close(struct tls **t)
{
	if (*t != NULL)
		SSL_free((*t)->ssl);
	free(*t);
	*t = NULL;
}

ssize_t tls_recv(struct tls *t, int fd, void *data, size_t size)
{
	static char ciphertext[CIPHERTEXT];
	size_t all = 0, got;
	ssize_t n;

	if (t == NULL)
		return recv(fd, data, size, 0);
	n = recv(fd, ciphertext, sizeof(ciphertext), 0);
	if (n <= 0)
		return n;
	BIO_write(t->in, ciphertext, (int)n);
	ERR_clear_error();
	while (SSL_read_ex(t->ssl, (char *)data + all, size - all, &got) == 1)
		all += got;
	if (SSL_get_error(t->ssl, 0) == SSL_ERROR_SSL)
		give_up("TLS");
	write_out(t);
	errno = EAGAIN;
	return all > 0 ? (ssize_t)all : SSL_get_shutdown(t->ssl) != 0 ? 0 : -1;
}

ssize_t tls_send(struct tls *t, int fd, const void *data, size_t len)
{
	size_t put = 0;

	if (t == NULL)
		return send(fd, data, len, MSG_NOSIGNAL);
	ERR_clear_error();
	if (!SSL_is_init_finished(t->ssl))
		(void)SSL_do_handshake(t->ssl);
	if (len > 0 && SSL_is_init_finished(t->ssl) &&
	    SSL_write_ex(t->ssl, data, len, &put) != 1)
		give_up("TLS");
	write_out(t);
	errno = EAGAIN;
	return put > 0 || len == 0 ? (ssize_t)put : -1;
}
