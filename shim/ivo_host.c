/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_host.h"
#include "ivo_log.h"

#include <library.h>

/**
 * ivo_host_t.get_option
 */
static bool get_option(const ivo_host_t *host, const char *name, char *text,
					   size_t size)
{
	char *value;

	value = lib->settings->get_str(lib->settings, "%s.plugins.%s.%s", NULL,
								   lib->ns, host->plugin, name);
	if (!value)
	{
		return FALSE;
	}
	snprintf(text, size, "%s", value);
	return TRUE;
}

/**
 * ivo_host_t.visit_options
 */
static void visit_options(const ivo_host_t *host, ivo_option_visitor_t visit,
						  void *context)
{
	enumerator_t *enumerator;
	char *key, *value;

	enumerator = lib->settings->create_key_value_enumerator(lib->settings,
								"%s.plugins.%s", lib->ns, host->plugin);
	while (enumerator->enumerate(enumerator, &key, &value))
	{
		visit(context, key);
	}
	enumerator->destroy(enumerator);
}

/**
 * ivo_host_t.log
 */
static void log_line(const ivo_host_t *host, const char *name, int level,
					 const char *text)
{
	ivo_log(host->plugin, name, level, "%s", text);
}

/*
 * Described in header.
 */
void ivo_host_init(ivo_host_t *host, const char *plugin)
{
	*host = (ivo_host_t){
		.plugin = plugin,
		.get_option = get_option,
		.visit_options = visit_options,
		.log = log_line,
	};
}
