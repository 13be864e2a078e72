/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Which SAs an operation can be done with.
 */

#include "operations.h"

/* described in header */
bool is_registered(sa_t *sa, void *arg __attribute__((unused)))
{
	return sa->registered;
}

/* described in header */
bool is_held_by(sa_t *sa, void *arg)
{
	return sa->holder == *(int*)arg;
}

/* described in header */
bool is_held_registered_by(sa_t *sa, void *arg)
{
	return sa->registered && sa->holder == *(int*)arg;
}

/* described in header */
bool is_unregistered_of(sa_t *sa, void *arg)
{
	return !sa->registered && sa->holder == *(int*)arg;
}

/* described in header */
bool is_held_by_other(sa_t *sa, void *arg)
{
	return sa->registered && sa->holder != -1 && sa->holder != *(int*)arg;
}

/* described in header */
bool is_not_held(sa_t *sa, void *arg __attribute__((unused)))
{
	return sa->registered && sa->holder == -1;
}

/* described in header */
bool is_indexed(sa_t *sa, void *arg __attribute__((unused)))
{
	return sa->registered && sa->indexed;
}

/* described in header */
bool is_indexed_held_by_other(sa_t *sa, void *arg)
{
	return is_indexed(sa, NULL) && is_held_by_other(sa, arg);
}

/* described in header */
bool is_ikev1_responder(sa_t *sa, void *arg __attribute__((unused)))
{
	return sa->registered && sa->key.version == IKEV1_MAJOR_VERSION && !sa->key.initiator;
}

/* described in header */
bool can_change_spi(sa_t *sa, void *arg)
{
	return is_held_registered_by(sa, arg) && sa->key.initiator &&
		   sa->ike_sa->get_state(sa->ike_sa) == IKE_CONNECTING;
}

/* described in header */
bool has_ike_name(sa_t *sa, void *arg)
{
	return sa->registered && streq(sa->ike_sa->get_name(sa->ike_sa), arg);
}

/* described in header */
bool has_child_name(sa_t *sa, void *arg)
{
	enumerator_t *enumerator;
	child_sa_t *child_sa;
	bool found = FALSE;

	if (!sa->registered)
	{
		return FALSE;
	}
	enumerator = sa->ike_sa->create_child_sa_enumerator(sa->ike_sa);
	while (!found && enumerator->enumerate(enumerator, (void**)&child_sa))
	{
		found = streq(child_sa->get_name(child_sa), arg);
	}
	enumerator->destroy(enumerator);
	return found;
}

/* described in header */
bool fits_config(sa_t *sa, void *arg)
{
	peer_cfg_t *cfg = arg, *current;
	ike_cfg_t *ike_cfg;
	ike_sa_state_t state;

	current = sa->ike_sa->get_peer_cfg(sa->ike_sa);
	state = sa->ike_sa->get_state(sa->ike_sa);
	if (!sa->registered || !current || state == IKE_DELETING || state == IKE_REKEYED ||
		!current->equals(current, cfg))
	{
		return FALSE;
	}
	ike_cfg = current->get_ike_cfg(current);
	return ike_cfg->equals(ike_cfg, cfg->get_ike_cfg(cfg));
}

/* described in header */
bool has_same_key(sa_t *sa, void *arg)
{
	return sa->registered && key_equals(&sa->key, arg);
}

/* described in header */
uint32_t choose(uint32_t choice, uint32_t count)
{
	return run->sequence->options.few ? choice % 8 ? 0 : choice / 8 % count : choice % count;
}

/* described in header */
peer_cfg_t *choose_cfg(ike_sa_t *ike_sa, uint32_t choice)
{
	return run->cfgs[ike_sa->get_version(ike_sa) == IKEV2 ? choose(choice, 4) : 4 + choice % 2];
}
