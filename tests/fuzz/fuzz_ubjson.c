/* SPDX-License-Identifier: Apache-2.0 */
/* The UBJSON reader: token_next and token_skip agree on every input. */
#include "tests/fuzz/fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_codec(SERIALIZER_UBJSON, data, size);
	return 0;
}
