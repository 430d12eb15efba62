/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of session tickets, with which clients resume a TLS session. All workers start
 * with the same secret and derive the same key for each hour, so a ticket is good at
 * every worker, although they share nothing. A key is used for an hour, and opens tickets
 * for two more. It cannot be derived from later ones. The worker's thread.
 */
#ifndef ROUTERD_NET_TLS_TICKETS_H
#define ROUTERD_NET_TLS_TICKETS_H

#include "common/base.h"

#include <openssl/ssl.h>

enum {
	TLS_TICKET_PERIOD_MS = 3600 * 1000, /* a key is used for so long */
	TLS_TICKET_LIFETIME_S = 2 * 3600,
	TLS_TICKET_KEYS = 3,
	TLS_TICKET_SECRET = 32, /* bytes */
};

/* What all workers start with. */
struct tls_ticket_seed {
	uint8_t secret[TLS_TICKET_SECRET]; /* random */
	uint64_t period;                   /* the time in periods; common/loop's clock */
};

struct tls_ticket_key {
	uint8_t name[16];
	uint8_t cipher[32];
	uint8_t mac[32];
};

struct tls_tickets {
	struct tls_ticket_key keys[TLS_TICKET_KEYS]; /* the newest is the first */
	uint8_t secret[TLS_TICKET_SECRET];           /* of the next key */
	uint64_t period;                             /* of keys[0] */
};

/* Makes the seed for a router that starts at this time, of common/loop's clock. */
void tls_ticket_seed_init(struct tls_ticket_seed *seed, uint64_t now_ms);

void tls_tickets_init(struct tls_tickets *t, const struct tls_ticket_seed *seed);
/* Makes the keys of all periods up to now. */
void tls_tickets_advance(struct tls_tickets *t, uint64_t now_ms);
/* Overwrites the keys. */
void tls_tickets_fini(struct tls_tickets *t);

/*
 * For SSL_CTX_set_tlsext_ticket_key_evp_cb. SSL_get_app_data must be the worker's struct
 * tls_tickets.
 */
int tls_tickets_use(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
		    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt);

#endif
