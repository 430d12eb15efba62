/* SPDX-License-Identifier: Apache-2.0 */
/* Starts threads. Any thread. */
#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include "common/base.h"

#include <pthread.h>

/*
 * Starts a thread with these attributes; NULL: the default. The thread blocks all
 * signals, so that the main thread handles them. Returns 0 or an errno.
 */
int thread_start(pthread_t *thread_out, const pthread_attr_t *attr, void *(*run)(void *),
		 void *arg) MUSTCHECK;

#endif
