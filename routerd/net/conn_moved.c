/* SPDX-License-Identifier: Apache-2.0 */
/* Frees a socket that no worker has adopted; see conn.h. Any thread. */
#include "routerd/net/conn.h"
#include "routerd/net/tls.h"

#include <stdlib.h>

void conn_moved_free(struct conn_moved **moved)
{
	struct conn_moved *m = *moved;

	*moved = NULL;
	if (m == NULL)
		return;
	tls_drop(&m->tls);
	free(m->proxy_tls);
	sock_close(&m->fd);
	buf_free(&m->bytes);
	free(m);
}
