/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a file's text to libyaml's document, and the lines that say what is wrong with the
 * file. For conf.c alone. No state; any thread.
 */
#ifndef COMMON_CONF_YAML_H
#define COMMON_CONF_YAML_H

#include "common/conf.h"

#include <yaml.h>

/*
 * Loads the one document of a text. It has a root, and no node in two places; scalars are
 * UTF-8 without NUL inside. 0, and then the caller deletes it; E_SYNTAX or E_NOMEM, and
 * then *errors_out says what.
 */
int conf_yaml_load(struct slice text, const char *name, yaml_document_t *out,
		   struct conf_error *errors_out) MUSTCHECK;

/* Adds a line "name:line:column: message"; a very long name loses its beginning. */
void conf_error_add(struct conf_error *errors, const char *name, yaml_mark_t at,
		    const char *message);
/* Says that memory ran out, and nothing else. Returns E_NOMEM. */
int conf_error_nomem(struct conf_error *errors, const char *name) MUSTCHECK;

#endif
