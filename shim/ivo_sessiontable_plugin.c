/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ivo-sessiontable as a plugin of charon: puts our IKE_SA manager in place of
 * charon's, and gives charon's back.
 */

#include "ivo_abi_guard.h"
#include "ivo_child_sa_manager.h"
#include "ivo_control.h"
#include "ivo_host.h"
#include "ivo_ike_sa_manager.h"
#include "ivo_log.h"
#include "ivo_plugin.h"

#include <daemon.h>

#define PLUGIN_NAME "ivo-sessiontable"

typedef struct private_ivo_sessiontable_plugin_t private_ivo_sessiontable_plugin_t;

/**
 * Private data of the plugin
 */
struct private_ivo_sessiontable_plugin_t {

	/**
	 * Public interface
	 */
	plugin_t public;

	/**
	 * What the core gets from charon
	 */
	ivo_host_t host;

	/**
	 * Core of the plugin
	 */
	ivo_sessiontable_t *table;

	/**
	 * charon's own manager, while ours is in its place
	 */
	ike_sa_manager_t *stock;

	/**
	 * Our manager
	 */
	ike_sa_manager_t *manager;

	/**
	 * charon's own CHILD_SA manager, while ours is in its place
	 */
	child_sa_manager_t *stock_children;

	/**
	 * Our CHILD_SA manager
	 */
	child_sa_manager_t *children;

	/**
	 * Registry of control commands
	 */
	ivo_control_t *control;
};

/**
 * Command "stats"
 */
static void stats(void *context, size_t count, const char *const words[],
				  ivo_reply_t *reply)
{
	private_ivo_sessiontable_plugin_t *this = context;

	/* asks charon's manager itself, so that the question is not counted */
	ivo_sessiontable_stats(this->table,
				ivo_sessiontable_count(this->table) +
				this->stock->get_count(this->stock),
				ivo_sessiontable_half_open(this->table, NULL, FALSE) +
				this->stock->get_half_open_count(this->stock, NULL, FALSE),
				reply);
}

/**
 * Put our manager in place
 */
static bool replace_manager(private_ivo_sessiontable_plugin_t *this)
{
	if (!ivo_abi_guard_sas(PLUGIN_NAME))
	{
		return FALSE;
	}
	this->table = ivo_sessiontable_create(&this->host);
	if (!this->table)
	{
		return FALSE;
	}
	this->stock = charon->ike_sa_manager;
	this->manager = ivo_ike_sa_manager_create(this->table, this->stock);
	if (!this->manager)
	{
		ivo_sessiontable_destroy(this->table);
		this->table = NULL;
		return FALSE;
	}
	charon->ike_sa_manager = this->manager;
	this->stock_children = charon->child_sa_manager;
	this->children = ivo_child_sa_manager_create(this->table);
	charon->child_sa_manager = this->children;
	ivo_log(PLUGIN_NAME, IVO_MSG_MANAGER_ACTIVE);

	this->control = ivo_control_join(PLUGIN_NAME);
	if (this->control)
	{
		this->control->add_command(this->control, "stats", stats, this);
	}
	return TRUE;
}

/**
 * Give charon's manager back
 */
static void return_manager(private_ivo_sessiontable_plugin_t *this)
{
	if (this->control)
	{
		this->control->remove_commands(this->control, this);
		this->control->release(this->control);
		this->control = NULL;
	}
	/* IKE_SAs that are left may look for their manager while they go */
	this->manager->destroy(this->manager);
	charon->ike_sa_manager = this->stock;
	charon->child_sa_manager = this->stock_children;
	this->children->destroy(this->children);
	ivo_log(PLUGIN_NAME, IVO_MSG_MANAGER_RETURNED,
			(unsigned long long)ivo_sessiontable_served_calls(this->table),
			(unsigned long long)ivo_sessiontable_delegated_calls(this->table),
			(unsigned long long)ivo_sessiontable_bypassed_calls(this->table));
	ivo_sessiontable_destroy(this->table);
	this->table = NULL;
}

/**
 * Feature callback: charon's managers exist now, or are about to go
 */
static bool manager_cb(private_ivo_sessiontable_plugin_t *this,
					   plugin_feature_t *feature, bool reg, void *data)
{
	if (reg)
	{
		return replace_manager(this);
	}
	return_manager(this);
	return TRUE;
}

METHOD(plugin_t, get_name, char*,
	private_ivo_sessiontable_plugin_t *this)
{
	return PLUGIN_NAME;
}

METHOD(plugin_t, get_features, int,
	private_ivo_sessiontable_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)manager_cb, NULL),
			PLUGIN_PROVIDE(CUSTOM, PLUGIN_NAME),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-sa-managers"),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, reload, bool,
	private_ivo_sessiontable_plugin_t *this)
{
	if (this->table)
	{
		ivo_sessiontable_reload(this->table);
	}
	return TRUE;
}

METHOD(plugin_t, destroy, void,
	private_ivo_sessiontable_plugin_t *this)
{
	free(this);
}

/**
 * Plugin constructor
 */
IVO_PLUGIN_DEFINE(ivo_sessiontable)
{
	private_ivo_sessiontable_plugin_t *this;

	if (!ivo_abi_guard(PLUGIN_NAME))
	{
		return NULL;
	}

	INIT(this,
		.public = {
			.get_name = _get_name,
			.get_features = _get_features,
			.reload = _reload,
			.destroy = _destroy,
		},
	);
	ivo_host_init(&this->host, PLUGIN_NAME);

	return &this->public;
}
