/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Events on the bus, noted for the call during which they come.
 */

#include "run.h"

#include <stdarg.h>
#include <stdio.h>

#include <sa/ike_sa.h>

#include "forward.h"

static void add_event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void add_event(const char *fmt, ...)
{
	manager_call_t *call = (manager_call_t*)actors_current_call();
	char event[128];
	size_t len;
	va_list args;

	if (!call)
	{
		return;
	}
	va_start(args, fmt);
	vsnprintf(event, sizeof(event), fmt, args);
	va_end(args);
	len = strlen(event) + 2;
	call->events = realloc(call->events, call->events_len + len + 1);
	snprintf(call->events + call->events_len, len + 1, "; %s", event);
	call->events_len += len;
}

/**
 * The SA on the bus: one that is on its way out after the event that marked it as gone, or perhaps a new one. What an
 * earlier operation left there was taken from the bus before.
 */
static const char *event_bus_sa(ike_sa_t *ike_sa, char buf[16])
{
	sa_t *sa = NULL;

	pthread_mutex_lock(&run->mutex);
	if (ike_sa)
	{
		sa = sa_find(ike_sa);
		if (!sa || (!sa->alive && sa->gone != run->nr))
		{
			sa = sa_of_locked(ike_sa, NULL);
		}
	}
	pthread_mutex_unlock(&run->mutex);
	return sa_name(sa, buf);
}

/**
 * The SA of an event, which may be on its way out: after the event that marked it as gone.
 */
static const char *event_sa(ike_sa_t *ike_sa, char buf[16])
{
	if (ike_sa && ike_sa->get_state(ike_sa) != IKE_DESTROYING)
	{
		return sa_name(sa_of(ike_sa, NULL), buf);
	}
	return event_bus_sa(ike_sa, buf);
}

METHOD(listener_t, alert, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, alert_t alert,
	va_list args __attribute__((unused)))
{
	char sa[16];

	switch (alert)
	{
		case ALERT_INVALID_IKE_SPI:
			add_event("alert invalid SPI, bus %s", event_bus_sa(ike_sa, sa));
			break;
		case ALERT_HALF_OPEN_TIMEOUT:
			add_event("alert half-open timeout, bus %s", event_bus_sa(ike_sa, sa));
			break;
		case ALERT_UNIQUE_REPLACE:
			add_event("alert unique replace, bus %s", event_bus_sa(ike_sa, sa));
			break;
		default:
			add_event("alert %d, bus %s", alert, event_bus_sa(ike_sa, sa));
			break;
	}
	return TRUE;
}

METHOD(listener_t, ike_state_change, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, ike_sa_state_t state)
{
	char buf[16], *name;
	sa_t *sa;

	name = enum_to_name(ike_sa_state_names, state);
	sa = sa_of(ike_sa, NULL);
	add_event("%s %s", sa_name(sa, buf), name);
	if (state == IKE_DESTROYING)
	{
		pthread_mutex_lock(&run->mutex);
		sa->alive = FALSE;
		sa->gone = run->nr;
		sa->holder = -1;
		pthread_mutex_unlock(&run->mutex);
	}
	return TRUE;
}

METHOD(listener_t, ike_updown, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, bool up)
{
	char sa[16];

	add_event("%s %s", event_sa(ike_sa, sa), up ? "up" : "down");
	return TRUE;
}

METHOD(listener_t, child_updown, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, child_sa_t *child_sa, bool up)
{
	char sa[16];

	add_event("%s %s of %s", child_sa->get_name(child_sa), up ? "up" : "down", event_bus_sa(ike_sa, sa));
	return TRUE;
}

METHOD(listener_t, child_state_change, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, child_sa_t *child_sa, child_sa_state_t state)
{
	char sa[16];

	add_event("%s of %s in state %d", child_sa->get_name(child_sa), event_bus_sa(ike_sa, sa), state);
	return TRUE;
}

METHOD(listener_t, children_migrate, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, ike_sa_id_t *new, uint32_t unique)
{
	char sa[16], key[64];
	id_key_t values;

	if (forward_is_changing_spi())
	{	/* 5.9.8 does not tell, later versions do: see allowed.c */
		return TRUE;
	}
	if (new)
	{
		values = key_of(new);
		add_event("children of %s migrate to %s", event_bus_sa(ike_sa, sa), key_name(&values, key));
	}
	else
	{
		add_event("children of %s migrated%s", event_bus_sa(ike_sa, sa), unique ? " to an ID that is not 0" : "");
	}
	return TRUE;
}

METHOD(listener_t, assign_vips, bool,
	listener_t *this __attribute__((unused)), ike_sa_t *ike_sa, bool assign)
{
	char sa[16];

	add_event("virtual IPs of %s %s", event_sa(ike_sa, sa), assign ? "assigned" : "released");
	return TRUE;
}

/* described in header */
listener_t *events_listener(void)
{
	static listener_t listener;

	listener = (listener_t){
		.alert = _alert,
		.ike_state_change = _ike_state_change,
		.ike_updown = _ike_updown,
		.child_updown = _child_updown,
		.child_state_change = _child_state_change,
		.children_migrate = _children_migrate,
		.assign_vips = _assign_vips,
	};
	return &listener;
}
