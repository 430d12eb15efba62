/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: requests about one principal, and changes and what they have led to. */
#ifndef AUTHD_CTL_CHANGE_H
#define AUTHD_CTL_CHANGE_H

#include "authd/ctl/ctl.h"

struct ctl_change {
	const char *method;
	const char *authid;
	const struct buf *params;
	const char *done;   /* "disabled" */
	const char *was_so; /* "is disabled already" */
	bool revokes;       /* it ends sessions */
};

/*
 * Sends it and prints what happened. EX_TEMPFAIL if a router has not confirmed the end of
 * sessions: the change itself is made then.
 */
int ctl_change(struct ctl *ctl, const struct ctl_change *c);

/* Options, then exactly one argument, an authid. */
int ctl_authid_arg(struct ctl *ctl, int argc, char **argv,
		   const char **authid_out) MUSTCHECK;

/* The same, and a request about it, with the result in *result. */
int ctl_authid_call(struct ctl *ctl, int argc, char **argv, const char *method,
		    struct buf *result) MUSTCHECK;

#endif
