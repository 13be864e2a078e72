/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "managers.h"

#include <shim/ivo_host.h>
#include <shim/ivo_ike_sa_manager.h>

/* what the plugin itself makes when charon loads it */
static ivo_host_t host;
static ivo_sessiontable_t *table;
static ike_sa_manager_t *stock;

static ike_sa_manager_t *create_ours(void)
{
	stock = ike_sa_manager_create();
	ivo_host_init(&host, "ivo-sessiontable");
	table = ivo_sessiontable_create(&host);
	if (!stock || !table)
	{
		return NULL;
	}
	return ivo_ike_sa_manager_create(table, stock);
}

static uint64_t delegated_calls_of_ours(void)
{
	return table ? ivo_sessiontable_delegated_calls(table) : 0;
}

static void clean_up_ours(void)
{
	stock->destroy(stock);
	ivo_sessiontable_destroy(table);
}

side_t side_stock = {
	.name = "charon's",
	.create = ike_sa_manager_create,
};

side_t side_ours = {
	.name = "ours",
	.create = create_ours,
	.clean_up = clean_up_ours,
	.delegated_calls = delegated_calls_of_ours,
};
