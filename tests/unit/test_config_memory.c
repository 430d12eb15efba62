/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a configuration while memory runs out, at each allocation in turn. This program
 * replaces pools and libyaml's allocator. One thread. */
#include "common/pool.h"

void *real_pool_alloc(struct pool *p, size_t count, size_t size);

#define pool_alloc real_pool_alloc
#include "common/pool.c"
#undef pool_alloc

#include "common/conf_int.h"
#include "common/err.h"
#include "routerd/config/config.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static size_t allocations; /* number of allocations so far */
static size_t fail_at;     /* number of the allocation that fails; 0: none */

static bool may_allocate(void)
{
	return ++allocations != fail_at;
}

void *pool_alloc(struct pool *p, size_t count, size_t size)
{
	return may_allocate() ? real_pool_alloc(p, count, size) : NULL;
}

/* Replace libyaml's allocator, which its header does not declare. All its memory is freed
 * after a reading, because libyaml leaks a little when memory runs out. */
#define EXPORTED __attribute__((visibility("default")))
EXPORTED void *yaml_malloc(size_t size);
EXPORTED void *yaml_realloc(void *p, size_t size);
EXPORTED yaml_char_t *yaml_strdup(const yaml_char_t *text);
EXPORTED void yaml_free(void *p);

static struct pool yaml_pool;

struct yaml_piece {
	_Alignas(max_align_t) size_t size;
	_Alignas(max_align_t) unsigned char bytes[];
};

void *yaml_malloc(size_t size)
{
	struct yaml_piece *piece = NULL;

	if (may_allocate())
		piece = real_pool_alloc(&yaml_pool, 1, sizeof(*piece) + size);
	if (piece == NULL)
		return NULL;
	piece->size = size;
	return piece->bytes;
}

void *yaml_realloc(void *p, size_t size)
{
	unsigned char *bigger = yaml_malloc(size);

	if (bigger != NULL && p != NULL)
		memcpy(bigger, p,
		       min_size(size, container_of(p, struct yaml_piece, bytes)->size));
	return bigger;
}

yaml_char_t *yaml_strdup(const yaml_char_t *text)
{
	size_t size = text != NULL ? strlen((const char *)text) + 1 : 0;
	yaml_char_t *copy = text != NULL ? yaml_malloc(size) : NULL;

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

void yaml_free(void *p)
{
	(void)p;
}

static int load(const char *path, struct config **out, struct conf_error *err)
{
	int r = config_load(path, out, err);

	pool_fini(&yaml_pool);
	return r;
}

static void load_without_memory(const char *path, size_t least)
{
	struct config *cfg = NULL;
	struct conf_error err;

	allocations = 0;
	assert_int_equal(load(path, &cfg, &err), 0);
	config_free(&cfg);
	size_t n = allocations;
	assert_in_range(n, least, 10000);
	for (fail_at = 1; fail_at <= n; fail_at++) {
		allocations = 0;
		assert_int_equal(load(path, &cfg, &err), E_NOMEM);
		assert_null(cfg);
		assert_non_null(strstr(err.text, "out of memory"));
	}
	fail_at = 0;
}

static void at_each_place(void **state)
{
	(void)state;
	load_without_memory("etc/examples/routerd.yaml", 500);
}

/* --- certificates --- */

static char folder[] = "/tmp/wamp.XXXXXX";

static FILE *create(const char *name, char path[64])
{
	(void)snprintf(path, 64, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(chmod(path, 0600), 0);
	return f;
}

/* Writes a certificate and its key, which are in one file, and a configuration. */
static void write_files(char config[64], char certificate[64])
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_non_null(mkdtemp(folder));
	FILE *f = create("both.pem", certificate);
	assert_int_equal(PEM_write_X509(f, x), 1);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	f = create("r.yaml", config);
	fprintf(f,
		"realms: [{name: a, roles: [{name: r}]}]\n"
		"transports:\n"
		"  - type: websocket\n"
		"    endpoint: {type: tcp, port: 1, tls: {certificate: %s, key: %s,\n"
		"      chain_certificates: [%s], ca_certificates: [%s],\n"
		"      ciphers: ECDHE+AESGCM}}\n"
		"    auth: {anonymous: {type: static, role: r}}\n",
		certificate, certificate, certificate, certificate);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void certificates(void **state)
{
	char config[64], certificate[64];

	(void)state;
	write_files(config, certificate);
	load_without_memory(config, 50);
	assert_int_equal(unlink(config), 0);
	assert_int_equal(unlink(certificate), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* --- pools --- */

/* Pools refuse impossible sizes. */
static void absurd_sizes(void **state)
{
	(void)state;
	struct pool p;

	pool_init(&p);
	assert_null(pool_alloc(&p, 1, SIZE_MAX));
	assert_null(pool_alloc(&p, SIZE_MAX / 2 + 1, 1));
	assert_null(pool_alloc(&p, SIZE_MAX / 2, 3));
	assert_null(pool_alloc(&p, 3, SIZE_MAX / 2));
	assert_non_null(pool_alloc(&p, 0, 1));
	pool_fini(&p);
	assert_null(p.pieces);
}

/* Pieces are zeroed and aligned, and do not overlap. */
static void pieces(void **state)
{
	(void)state;
	struct pool p;
	unsigned char *piece[300];

	pool_init(&p);
	for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
		size_t size = i * 37 % 5000;

		piece[i] = pool_alloc(&p, 1, size);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(piece[i][k], 0);
		memset(piece[i], (int)i, size);
	}
	for (size_t i = 0; i < ARRAY_LEN(piece); i++)
		for (size_t k = 0; k < i * 37 % 5000; k++)
			assert_int_equal(piece[i][k], i & 0xff);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_each_place),
		cmocka_unit_test(certificates),
		cmocka_unit_test(absurd_sizes),
		cmocka_unit_test(pieces),
	};

	return cmocka_run_group_tests_name("config_memory", tests, NULL, NULL);
}
