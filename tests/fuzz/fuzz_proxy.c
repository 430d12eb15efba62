/* SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header that comes in pieces: each prefix of it needs more bytes. */
#include "proto/proxy.h"

#include "common/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h, again;
	const char *why = NULL;
	int err = E_AGAIN;

	for (size_t n = 0; n <= size && err == E_AGAIN; n++) {
		ASSERT(n < PROXY_HEADER_MAX + 1);
		err = proxy_header_parse(slice_of(data, n), &h, &why);
		if (err == 0)
			ASSERT(h.len == n && h.server_name.len <= PROXY_NAME_MAX &&
			       h.tls_version.len <= PROXY_VERSION_MAX);
		if (err == E_SYNTAX)
			ASSERT(why != NULL);
	}
	/* the whole input gives the same, whatever follows */
	ASSERT(proxy_header_parse(slice_of(data, size), &again, &why) == err);
	if (err == 0)
		ASSERT(h.len == again.len && address_same(&h.peer, &again.peer) &&
		       h.ends_tls == again.ends_tls &&
		       slice_eq(h.server_name, again.server_name) &&
		       slice_eq(h.tls_version, again.tls_version));
	return 0;
}
