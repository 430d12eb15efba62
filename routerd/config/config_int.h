/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the configuration share: the tables of its two large parts. For
 * config*.c alone. Constant; any thread.
 */
#ifndef ROUTERD_CONFIG_CONFIG_INT_H
#define ROUTERD_CONFIG_CONFIG_INT_H

#include "common/conf.h"

#define MIB (1 << 20)

struct config;

/* An entry of realms (struct config_realm): config_realms.c. */
extern const struct conf_table config_realm_table;
/* An entry of transports (struct config_listener): config_listeners.c. */
extern const struct conf_table config_listener_table;

/* Keys of Crossbar that we do not have: config_foreign.c. */
extern const struct conf_foreign config_foreign[];

/* A name of ours, which log lines and systemd repeat. */
extern const struct conf_rule config_id_rule;

/* Warns of what has no effect, in a configuration without errors: config_warn.c. */
void config_warn(struct conf *c, const struct config *cfg);

#endif
