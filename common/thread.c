/* SPDX-License-Identifier: Apache-2.0 */
/* Starts threads; see thread.h. Any thread. */
#include "common/thread.h"

#include <signal.h>

int thread_start(pthread_t *thread_out, const pthread_attr_t *attr, void *(*run)(void *),
		 void *arg)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int errnum = pthread_create(thread_out, attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errnum;
}
