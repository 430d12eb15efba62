/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files that read the configuration: the tables of realms and transports.
 * Only config*.c includes it. Constant; any thread.
 */
#ifndef ROUTERD_CONFIG_CONFIG_INT_H
#define ROUTERD_CONFIG_CONFIG_INT_H

#include "common/conf.h"

#define MIB (1 << 20)

struct config;

/* An element of realms (struct config_realm), in config_realms.c. */
extern const struct conf_table config_realm_table;
/* An element of transports (struct config_listener), in config_listeners.c. */
extern const struct conf_table config_listener_table;

/* Crossbar's keys that routerd does not have, in config_foreign.c. */
extern const struct conf_foreign config_foreign[];

/* The condition for names that log lines and systemd units contain. */
extern const struct conf_rule config_id_rule;

/* Adds warnings to a configuration without errors, in config_warn.c. */
void config_warn(struct conf *c, const struct config *cfg);

#endif
