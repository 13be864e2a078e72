/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ivo-jitter as a plugin of charon: tells its core of SAs that have timers.
 */

#include "ivo_abi_guard.h"
#include "ivo_control.h"
#include "ivo_host.h"
#include "ivo_log.h"
#include "ivo_plugin.h"

#include <daemon.h>
#include <ivo/jitter.h>

#define PLUGIN_NAME "ivo-jitter"

typedef struct private_ivo_jitter_plugin_t private_ivo_jitter_plugin_t;

/**
 * Private data of the plugin
 */
struct private_ivo_jitter_plugin_t {

	/**
	 * Public interface
	 */
	plugin_t public;

	/**
	 * Events of charon
	 */
	listener_t listener;

	/**
	 * What the core gets from charon
	 */
	ivo_host_t host;

	/**
	 * Core of the plugin
	 */
	ivo_jitter_t *jitter;

	/**
	 * Registry of control commands
	 */
	ivo_control_t *control;
};

/**
 * Get the plugin that a listener belongs to
 */
static private_ivo_jitter_plugin_t *from_listener(listener_t *listener)
{
	return (private_ivo_jitter_plugin_t*)((char*)listener -
						offsetof(private_ivo_jitter_plugin_t, listener));
}

/**
 * listener_t.ike_state_change
 */
static bool ike_state_change(listener_t *listener, ike_sa_t *ike_sa,
							 ike_sa_state_t state)
{
	private_ivo_jitter_plugin_t *this = from_listener(listener);

	ike_sa_state_t before = ike_sa->get_state(ike_sa);

	/* a failed rekeying goes back to this state; listeners are told before the
	 * new one is stored */
	if (state == IKE_ESTABLISHED && before != IKE_ESTABLISHED &&
		before != IKE_REKEYING && before != IKE_REKEYED)
	{
		ivo_jitter_event(this->jitter, IVO_JITTER_IKE_SA_ESTABLISHED);
	}
	return TRUE;
}

/**
 * listener_t.ike_rekey
 */
static bool ike_rekey(listener_t *listener, ike_sa_t *old, ike_sa_t *new)
{
	private_ivo_jitter_plugin_t *this = from_listener(listener);

	ivo_jitter_event(this->jitter, IVO_JITTER_IKE_SA_REKEYED);
	return TRUE;
}

/**
 * listener_t.child_rekey
 */
static bool child_rekey(listener_t *listener, ike_sa_t *ike_sa,
						child_sa_t *old, child_sa_t *new)
{
	private_ivo_jitter_plugin_t *this = from_listener(listener);

	ivo_jitter_event(this->jitter, IVO_JITTER_CHILD_SA_REKEYED);
	return TRUE;
}

/**
 * Command "stats"
 */
static void stats(void *context, size_t count, const char *const words[],
				  ivo_reply_t *reply)
{
	private_ivo_jitter_plugin_t *this = context;

	ivo_jitter_stats(this->jitter, reply);
}

/**
 * Start to listen
 */
static bool start(private_ivo_jitter_plugin_t *this)
{
	if (!ivo_abi_guard_sas(PLUGIN_NAME))
	{
		return FALSE;
	}
	this->jitter = ivo_jitter_create(&this->host);
	if (!this->jitter)
	{
		return FALSE;
	}
	charon->bus->add_listener(charon->bus, &this->listener);
	this->control = ivo_control_join(PLUGIN_NAME);
	if (this->control)
	{
		this->control->add_command(this->control, "stats", stats, this);
	}
	return TRUE;
}

/**
 * Stop listening
 */
static void stop(private_ivo_jitter_plugin_t *this)
{
	if (this->control)
	{
		this->control->remove_commands(this->control, this);
		this->control->release(this->control);
		this->control = NULL;
	}
	charon->bus->remove_listener(charon->bus, &this->listener);
	ivo_jitter_destroy(this->jitter);
	this->jitter = NULL;
}

/**
 * Feature callback
 */
static bool listen_cb(private_ivo_jitter_plugin_t *this,
					  plugin_feature_t *feature, bool reg, void *data)
{
	if (reg)
	{
		return start(this);
	}
	stop(this);
	return TRUE;
}

METHOD(plugin_t, get_name, char*,
	private_ivo_jitter_plugin_t *this)
{
	return PLUGIN_NAME;
}

METHOD(plugin_t, get_features, int,
	private_ivo_jitter_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK((plugin_feature_callback_t)listen_cb, NULL),
			PLUGIN_PROVIDE(CUSTOM, PLUGIN_NAME),
				PLUGIN_DEPENDS(CUSTOM, "libcharon-sa-managers"),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, reload, bool,
	private_ivo_jitter_plugin_t *this)
{
	if (this->jitter)
	{
		ivo_jitter_reload(this->jitter);
	}
	return TRUE;
}

METHOD(plugin_t, destroy, void,
	private_ivo_jitter_plugin_t *this)
{
	free(this);
}

/**
 * Plugin constructor
 */
IVO_PLUGIN_DEFINE(ivo_jitter)
{
	private_ivo_jitter_plugin_t *this;

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
		.listener = {
			.ike_state_change = ike_state_change,
			.ike_rekey = ike_rekey,
			.child_rekey = child_rekey,
		},
	);
	ivo_host_init(&this->host, PLUGIN_NAME);

	return &this->public;
}
