/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The model: IDs, SAs, and who waits for whom.
 */

#include "run.h"

#include <stdio.h>

#include <sa/ike_sa.h>

/* described in header */
id_key_t key_of(ike_sa_id_t *id)
{
	return (id_key_t){
		.version = id->get_ike_version(id),
		.initiator = id->is_initiator(id),
		.spi_i = id->get_initiator_spi(id),
		.spi_r = id->get_responder_spi(id),
	};
}

/* described in header */
ike_sa_id_t *key_to_id(const id_key_t *key)
{
	return ike_sa_id_create(key->version, key->spi_i, key->spi_r, key->initiator);
}

/* described in header */
bool key_equals(const id_key_t *a, const id_key_t *b)
{
	return a->version == b->version && (a->version == IKEV1_MAJOR_VERSION || a->initiator == b->initiator) &&
		   a->spi_i == b->spi_i && a->spi_r == b->spi_r;
}

/**
 * Does an ID stand for an SA that is registered by another one? Where a responder SPI is missing the rest has to do.
 */
static bool key_matches(const id_key_t *id, const id_key_t *registered)
{
	if (key_equals(id, registered))
	{
		return TRUE;
	}
	return (!id->spi_r || !registered->spi_r) && id->spi_i == registered->spi_i &&
		   (id->version == IKEV1_MAJOR_VERSION || id->initiator == registered->initiator);
}

/**
 * The SPI that charon's manager hashes.
 */
static uint64_t key_hash(const id_key_t *key)
{
	return key->version == IKEV1_MAJOR_VERSION || key->initiator ? key->spi_i : key->spi_r;
}

/**
 * Name of an SPI: the values are not part of the contract.
 */
static const char *spi_name(uint64_t spi, char buf[16])
{
	int i;

	if (!spi)
	{
		return "0";
	}
	for (i = 0; i < run->spi_count && run->spis[i] != spi; i++)
	{
		continue;
	}
	if (i == run->spi_count && i < MAX_SPIS)
	{
		run->spis[run->spi_count++] = spi;
	}
	snprintf(buf, 16, "spi%d", i);
	return buf;
}

/* described in header */
const char *key_name(const id_key_t *key, char buf[64])
{
	char spi_i[16], spi_r[16];

	snprintf(buf, 64, "v%d %s %s/%s", key->version, key->initiator ? "initiator" : "responder",
			 spi_name(key->spi_i, spi_i), spi_name(key->spi_r, spi_r));
	return buf;
}

/* described in header */
void run_remember(const id_key_t *key)
{
	run->ids[run->id_count++ % MAX_IDS] = *key;
}

/* described in header */
sa_t *sa_find(ike_sa_t *ike_sa)
{
	int i;

	for (i = run->sa_count - 1; i >= 0; i--)
	{
		if (run->sas[i].ike_sa == ike_sa)
		{
			return &run->sas[i];
		}
	}
	return NULL;
}

/* described in header */
sa_t *sa_of_locked(ike_sa_t *ike_sa, bool *is_new)
{
	sa_t *sa = sa_find(ike_sa);

	if (is_new)
	{
		*is_new = !sa || !sa->alive;
	}
	if (sa && sa->alive)
	{
		return sa;
	}
	if (run->sa_count == MAX_SAS)
	{
		fprintf(stderr, "differential: more than %d SAs in one run; lower --ops\n", MAX_SAS);
		abort();
	}
	sa = &run->sas[run->sa_count];
	memset(sa, 0, sizeof(*sa));
	sa->label = run->sa_count++;
	sa->ike_sa = ike_sa;
	sa->unique_id = ike_sa->get_unique_id(ike_sa);
	sa->alive = TRUE;
	sa->registered = TRUE;
	sa->order = ++run->orders;
	sa->holder = -1;
	sa->key = key_of(ike_sa->get_id(ike_sa));
	sa->processing = -1;
	return sa;
}

/* described in header */
sa_t *sa_of(ike_sa_t *ike_sa, bool *is_new)
{
	sa_t *sa;

	pthread_mutex_lock(&run->mutex);
	sa = sa_of_locked(ike_sa, is_new);
	pthread_mutex_unlock(&run->mutex);
	return sa;
}

/* described in header */
const char *sa_name(sa_t *sa, char buf[16])
{
	if (!sa)
	{
		return "none";
	}
	snprintf(buf, 16, "sa%d", sa->label);
	return buf;
}

/* described in header */
sa_t *sa_match(const id_key_t *id, bool *depends)
{
	sa_t *any = NULL, *same_hash = NULL;
	int i;

	for (i = 0; i < run->sa_count; i++)
	{
		sa_t *sa = &run->sas[i];

		if (!sa->alive || !sa->registered || !key_matches(id, &sa->key))
		{
			continue;
		}
		if (!any || sa->order > any->order)
		{
			any = sa;
		}
		if (key_hash(id) == key_hash(&sa->key) && (!same_hash || sa->order > same_hash->order))
		{
			same_hash = sa;
		}
	}
	/* with a table of one row everything that matches is found, with an endless one only what has the same hash */
	*depends = any != same_hash;
	return same_hash;
}

/* described in header */
int sa_collect(sa_t *sas[MAX_SAS], bool (*filter)(sa_t *sa, void *arg), void *arg)
{
	int i, count = 0;

	for (i = 0; i < run->sa_count; i++)
	{
		if (run->sas[i].alive && filter(&run->sas[i], arg))
		{
			sas[count++] = &run->sas[i];
		}
	}
	return count;
}

/* described in header */
sa_t *sa_choose(uint32_t choice, bool (*filter)(sa_t *sa, void *arg), void *arg)
{
	sa_t *sas[MAX_SAS];
	int count = sa_collect(sas, filter, arg);

	return count ? sas[choice % count] : NULL;
}

/* described in header */
void sa_index(sa_t *sa)
{
	ike_sa_t *ike_sa = sa->ike_sa;
	identification_t *id;
	host_t *host;

	id = ike_sa->get_my_id(ike_sa);
	sa->my_id = id->clone(id);
	id = ike_sa->get_other_eap_id(ike_sa);
	sa->other_id = id->clone(id);
	host = ike_sa->get_other_host(ike_sa);
	sa->family = host->get_family(host);
	sa->indexed = TRUE;
}

/* described in header */
int sa_duplicates(sa_t *of, sa_t *duplicates[MAX_SAS])
{
	identification_t *my_id, *other_id;
	host_t *host;
	int i, count = 0;

	my_id = of->ike_sa->get_my_id(of->ike_sa);
	other_id = of->ike_sa->get_other_eap_id(of->ike_sa);
	host = of->ike_sa->get_other_host(of->ike_sa);
	for (i = 0; i < run->sa_count; i++)
	{
		sa_t *sa = &run->sas[i];

		if (sa->alive && sa->registered && sa->indexed && sa != of && sa->family == host->get_family(host) &&
			my_id->equals(my_id, sa->my_id) && other_id->equals(other_id, sa->other_id))
		{
			duplicates[count++] = sa;
		}
	}
	return count;
}

/* described in header */
void refresh_sas(void)
{
	int i;

	for (i = 0; i < run->sa_count; i++)
	{
		sa_t *sa = &run->sas[i];
		ike_sa_state_t state;

		if (!sa->alive && !sa->remembered && sa->registered)
		{
			sa->remembered = TRUE;
			run_remember(&sa->key);
		}
		if (!sa->alive || !sa->registered || sa->holder != -1)
		{
			continue;
		}
		sa->key = key_of(sa->ike_sa->get_id(sa->ike_sa));
		sa->processing = -1;
		state = sa->ike_sa->get_state(sa->ike_sa);
		if (!sa->indexed && (state == IKE_ESTABLISHED || state == IKE_PASSIVE))
		{
			sa_index(sa);
		}
	}
}

/* described in header */
bool is_free(int actor)
{
	return !run->calls[actor];
}

/* described in header */
bool call_wants(manager_call_t *call, sa_t *sa)
{
	int i;

	for (i = 0; i < call->want_count; i++)
	{
		if (call->wants[i] == sa)
		{
			return TRUE;
		}
	}
	return FALSE;
}

/* described in header */
bool disturbs(const id_key_t *key)
{
	int i, j;

	for (i = 0; i < ACTORS; i++)
	{
		manager_call_t *call = run->calls[i];

		if (!call || call->waits != WAITS_ALONE)
		{
			continue;
		}
		if (!key)
		{	/* will get the SPI of another one, or a new one */
			return run->spi_source == SPIS_REPEATED;
		}
		for (j = 0; j < call->want_count; j++)
		{
			if (key_matches(&call->wants[j]->key, key))
			{
				return TRUE;
			}
		}
	}
	return FALSE;
}

/* described in header */
bool has_waiters(sa_t *sa)
{
	int i;

	for (i = 0; i < ACTORS; i++)
	{
		if (run->calls[i] && call_wants(run->calls[i], sa))
		{
			return TRUE;
		}
	}
	return FALSE;
}

/* described in header */
bool walk_waits(void)
{
	int i;

	for (i = 0; i < ACTORS; i++)
	{
		if (run->calls[i] && run->calls[i]->walks)
		{
			return TRUE;
		}
	}
	return FALSE;
}

/* described in header */
bool any_held(sa_t *except)
{
	int i;

	for (i = 0; i < run->sa_count; i++)
	{
		sa_t *sa = &run->sas[i];

		if (sa->alive && sa->registered && sa->holder != -1 && sa != except)
		{
			return TRUE;
		}
	}
	return FALSE;
}

/**
 * Does an actor wait, over others, for another one?
 */
static bool depends_on(int waiter, int on, int depth)
{
	manager_call_t *call = run->calls[waiter];
	int i;

	if (waiter == on)
	{
		return TRUE;
	}
	if (!call || depth > ACTORS)
	{
		return FALSE;
	}
	for (i = 0; i < call->want_count; i++)
	{
		sa_t *sa = call->wants[i];

		if (sa->alive && sa->holder != -1 && sa->holder != waiter && depends_on(sa->holder, on, depth + 1))
		{
			return TRUE;
		}
	}
	return FALSE;
}

/* described in header */
bool may_wait(int actor, sa_t *sa, waits_t waits, peer_cfg_t *cfg)
{
	int i;

	if (sa->holder == actor || depends_on(sa->holder, actor, 0))
	{
		return FALSE;
	}
	for (i = 0; i < ACTORS; i++)
	{
		manager_call_t *other = run->calls[i];

		if (!other || !call_wants(other, sa))
		{
			continue;
		}
		if (other->waits != waits || waits == WAITS_ALONE)
		{
			return FALSE;
		}
		if (waits == WAITS_CONFIG && other->cfg != cfg)
		{
			return FALSE;
		}
	}
	return TRUE;
}

/* described in header */
void renew_wants(manager_call_t *call)
{
	int i;

	if (call->waits != WAITS_CONFIG)
	{
		return;
	}
	call->want_count = 0;
	for (i = 0; i < run->sa_count; i++)
	{
		sa_t *sa = &run->sas[i];

		if (sa->alive && sa->registered && sa->holder != -1)
		{
			call->wants[call->want_count++] = sa;
		}
	}
}
