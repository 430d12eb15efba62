/* SPDX-License-Identifier: Apache-2.0 */
/* Reads any file as a key. An accepted key has a fingerprint. */
#include "proto/ssh_key.h"

#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ssh_key key;
	const char *why = NULL;
	char fingerprint[SSH_FINGERPRINT];

	if (sodium_init() == -1 || size > SSH_KEY_MAX_FILE)
		return 0;
	if (ssh_key_read(slice_of(data, size), &key, &why) != 0) {
		ASSERT(why != NULL);
		return 0;
	}
	ssh_key_fingerprint(key.public, fingerprint);
	ASSERT(strlen(fingerprint) == SSH_FINGERPRINT - 1);
	return 0;
}
