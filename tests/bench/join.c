/* SPDX-License-Identifier: Apache-2.0 */
/* HELLO, CHALLENGE, AUTHENTICATE and WELCOME: see conn.h. */
#include "tests/bench/conn.h"
#include "tests/bench/options.h"

#include <sodium.h>
#include <string.h>

enum { CHALLENGE_BYTES = 32, SIGNED_BYTES = crypto_sign_BYTES + CHALLENGE_BYTES };

static void put_authentication(const struct writer *w)
{
	put_key(w, "authmethods");
	put_list(w, 1);
	put_string(w, opt.cryptosign ? "cryptosign" : "anonymous");
	put_end(w, ']');
	if (opt.authid != NULL) {
		put_key(w, "authid");
		put_string(w, opt.authid);
	}
	if (opt.cryptosign) {
		put_key(w, "authextra");
		put_map(w, 2);
		put_key(w, "pubkey");
		put_string(w, opt.public_hex);
		put_key(w, "channel_binding");
		put_null(w);
		put_end(w, '}');
	}
}

void join_hello(struct conn *c)
{
	static const char *const roles[] = {"caller", "callee", "publisher",
					    "subscriber"};
	struct writer w = conn_write(c);

	put_list(&w, 3);
	put_uint(&w, WAMP_HELLO);
	put_string(&w, opt.realm);
	put_map(&w, 2u + (opt.authid != NULL) + opt.cryptosign);
	put_key(&w, "roles");
	put_map(&w, 4);
	for (unsigned i = 0; i < 4; i++) {
		put_key(&w, roles[i]);
		put_map(&w, 0);
		put_end(&w, '}');
	}
	put_end(&w, '}');
	put_authentication(&w);
	put_end(&w, '}');
	put_end(&w, ']');
	conn_send(c);
}

/* AUTHENTICATE: the signature and the signed challenge, in hex. */
static const char *answer_challenge(struct conn *c, const struct message *m)
{
	unsigned char answer[SIGNED_BYTES];
	char hex[2 * SIGNED_BYTES + 1];
	struct item challenge;
	struct writer w = conn_write(c);
	size_t len = 0;

	if (!opt.cryptosign || m->count < 3 || !item_is(&m->item[1], "cryptosign") ||
	    !read_key(c->format, &m->item[2], "challenge", &challenge))
		return "unexpected CHALLENGE";
	if (challenge.kind != KIND_TEXT ||
	    sodium_hex2bin(answer + crypto_sign_BYTES, CHALLENGE_BYTES,
			   (const char *)challenge.data, challenge.len, NULL, &len,
			   NULL) != 0 ||
	    len != CHALLENGE_BYTES)
		return "malformed challenge";
	crypto_sign_detached(answer, NULL, answer + crypto_sign_BYTES, CHALLENGE_BYTES,
			     opt.secret);
	sodium_bin2hex(hex, sizeof(hex), answer, sizeof(answer));
	put_list(&w, 3);
	put_uint(&w, WAMP_AUTHENTICATE);
	put_string(&w, hex);
	put_map(&w, 0);
	put_end(&w, '}');
	put_end(&w, ']');
	conn_send(c);
	return NULL;
}

const char *join_message(struct conn *c, const struct message *m)
{
	struct item authid;

	if (m->type == WAMP_CHALLENGE)
		return answer_challenge(c, m);
	if (m->type != WAMP_WELCOME || m->count != 3 || m->item[1].kind != KIND_UINT ||
	    m->item[1].number == 0 || m->item[2].kind != KIND_MAP)
		return "expected WELCOME";
	if (opt.authid != NULL && (!read_key(c->format, &m->item[2], "authid", &authid) ||
				   !item_is(&authid, opt.authid)))
		return "WELCOME with another authid";
	c->session = m->item[1].number;
	return NULL;
}
