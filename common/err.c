/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the error codes; see err.h. No state; any thread. */
#include "common/err.h"

#include "common/base.h"

#include <errno.h>
#include <string.h>

static const char *const texts[] = {
#define X(name, value, text) [-(value)] = (text),
	ERRORS(X)
#undef X
};

const char *err_str(int err)
{
	if (err == E_SYS && strerrordesc_np(errno) != NULL)
		return strerrordesc_np(errno);
	if (err > 0 || err <= -(int)ARRAY_LEN(texts))
		return "unknown error";
	return texts[-err];
}
