/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a file's text into libyaml's document, and collects the error lines. Only conf.c
 * uses it. No state; any thread.
 */
#ifndef COMMON_CONF_YAML_H
#define COMMON_CONF_YAML_H

#include "common/conf.h"

#include <yaml.h>

/*
 * Loads a text, which must have exactly one document. The document has a root, every node
 * has one parent, and scalars are UTF-8 without NUL. After success the caller deletes the
 * document. E_SYNTAX, E_NOMEM: *errors_out has the messages.
 */
int conf_yaml_load(struct slice text, const char *name, yaml_document_t *out,
		   struct conf_error *errors_out) MUSTCHECK;

/* Adds a line "name:line:column: message". Only the end of a very long name is kept. */
void conf_error_add(struct conf_error *errors, const char *name, yaml_mark_t at,
		    const char *message);
/* Replaces all messages with "out of memory". Returns E_NOMEM. */
int conf_error_nomem(struct conf_error *errors, const char *name) MUSTCHECK;

#endif
