/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Getting an SA, by all ways but a message; walking over all of them.
 */

#include "operations.h"

#include <processing/jobs/delete_ike_sa_job.h>

#include "prng.h"

/* described in header */
void finish_got(manager_call_t *this, int actor)
{
	outcome_t outcome;
	bool is_new;
	sa_t *sa;
	int i;

	if (!this->got)
	{
		call_result(this, " none");
		outcome = this->parked ? OUTCOME_DRIVEN_OUT : this->expected;
		if (run->flushing)
		{
			outcome = OUTCOME_FLUSHED;
		}
		coverage_outcome(this->method, outcome);
		return;
	}
	sa = sa_of(this->got, &is_new);
	if (sa->holder != -1)
	{
		call_result(this, " though actor %d has it", sa->holder);
	}
	sa->holder = actor;
	outcome = this->parked ? OUTCOME_WAITED : this->expected == OUTCOME_RETRANSMIT ? OUTCOME_RETRANSMIT : OUTCOME_HIT;
	if (is_new)
	{	/* who waits by config and is driven out gets another one */
		outcome = this->parked ? OUTCOME_DRIVEN_OUT : OUTCOME_NEW;
		check_label(this, this->got);
	}
	for (i = 0; i < this->several_count; i++)
	{
		if (this->several[i] == sa)
		{
			call_result(this, " one of %d, %s", this->several_count,
						this->bus == this->got ? "on the bus" : "not on the bus");
			/* which one is not part of the contract, so do nothing else with it */
			this->bus = NULL;
			this->contended = TRUE;
			coverage_outcome(this->method, OUTCOME_ONE_OF_SEVERAL);
			return;
		}
	}
	describe(this, sa);
	coverage_outcome(this->method, outcome);
}

/* described in header */
void execute_checkout(manager_call_t *this)
{
	this->got = run->manager->checkout(run->manager, this->id);
}

/* described in header */
bool want(int actor, manager_call_t *call, sa_t *target, waits_t waits)
{
	if (!target)
	{
		return TRUE;
	}
	if (target->holder == -1)
	{
		return !walk_waits();
	}
	if (!may_wait(actor, target, waits, call->cfg))
	{
		return FALSE;
	}
	call->waits = waits;
	call->wants[call->want_count++] = target;
	return TRUE;
}

/* described in header */
bool start_checkout(int actor, const id_key_t *key)
{
	manager_call_t *call;
	bool depends;
	sa_t *target;
	char buf[64];

	target = sa_match(key, &depends);
	if (depends)
	{
		return FALSE;
	}
	call = call_create(METHOD_CHECKOUT, "checkout(%s)", key_name(key, buf));
	if (!want(actor, call, target, WAITS_PLAIN))
	{
		free(call);
		return FALSE;
	}
	call->id = key_to_id(key);
	call->execute = execute_checkout;
	call->finish = finish_got;
	call->expected = target ? OUTCOME_HIT : OUTCOME_MISS;
	run_call(actor, call);
	return TRUE;
}

/* described in header */
bool choose_id(const uint32_t choice[CHOICES], id_key_t *key)
{
	prng_t prng = { .state = choice[2] };
	int kept = min(run->id_count, MAX_IDS);
	sa_t *sa;

	sa = sa_choose(choice[1], is_registered, NULL);
	if (!sa || choice[0] % 16 == 15)
	{
		*key = (id_key_t){ IKEV2_MAJOR_VERSION, choice[3] % 2, prng_next(&prng), prng_next(&prng) };
		return TRUE;
	}
	*key = sa->key;
	switch (choice[0] % 16)
	{
		default:
			break;
		case 5:
		case 6:
			key->spi_r = 0;
			break;
		case 7:
		case 8:
		case 9:
			if (!kept)
			{
				return FALSE;
			}
			/* mostly of late, when there are still others of the kind */
			if (choice[3] / 256 % 4)
			{
				kept = min(kept, 4);
			}
			*key = run->ids[(run->id_count - 1 - (int)(choice[3] % kept)) % MAX_IDS];
			if (choice[4] % 4 == 0)
			{
				key->spi_r = 0;
			}
			break;
		case 10:
		case 11:
			key->spi_r = prng_next(&prng);
			break;
		case 12:
		case 13:
			key->initiator = !key->initiator;
			break;
		case 14:
			key->version = key->version == IKEV1_MAJOR_VERSION ? IKEV2_MAJOR_VERSION : IKEV1_MAJOR_VERSION;
			break;
	}
	return TRUE;
}

static void execute_by_id(manager_call_t *this)
{
	this->got = run->manager->checkout_by_id(run->manager, this->number);
}

/**
 * May an actor walk over all SAs, of which it wants one (or none)?
 *
 * charon's manager waits for each SA that it comes past. Ours must not have to, so there must be nothing on the way.
 */
static bool may_walk(int actor, sa_t *target)
{
	const options_t *options = &run->sequence->options;
	sa_t *held[MAX_SAS];
	int i, count;

	if (walk_waits() && (!target || target->holder == -1))
	{
		return FALSE;
	}
	if (!any_held(target) && (!target || target->holder != actor))
	{
		return TRUE;
	}
	/* in a table of one row the newest come first */
	if (!target || options->table_size != 1 || target->holder != -1)
	{
		return FALSE;
	}
	count = sa_collect(held, is_registered, NULL);
	for (i = 0; i < count; i++)
	{
		if (held[i]->holder != -1 && held[i]->order > target->order)
		{
			return FALSE;
		}
	}
	return TRUE;
}

/* described in header */
bool start_by_id(int actor, sa_t *target, uint32_t unique_id)
{
	manager_call_t *call;
	char name[16];

	if (!may_walk(actor, target))
	{
		return FALSE;
	}
	call = call_create(METHOD_CHECKOUT_BY_ID, "checkout_by_id(that of %s)", sa_name(target, name));
	if (!want(actor, call, target, WAITS_PLAIN))
	{
		free(call);
		return FALSE;
	}
	call->number = target ? target->unique_id : unique_id;
	call->walks = call->want_count;
	call->execute = execute_by_id;
	call->finish = finish_got;
	call->expected = target ? OUTCOME_HIT : OUTCOME_MISS;
	run_call(actor, call);
	return TRUE;
}

static void execute_by_name(manager_call_t *this)
{
	this->got = run->manager->checkout_by_name(run->manager, this->name, this->flag);
}

/* described in header */
bool start_by_name(int actor, char *name, bool child)
{
	manager_call_t *call;
	sa_t *target = NULL;

	call = call_create(METHOD_CHECKOUT_BY_NAME, "checkout_by_name(%s %s)", child ? "child" : "IKE", name);
	call->several_count = sa_collect(call->several, child ? has_child_name : has_ike_name, name);
	if (call->several_count == 1)
	{
		target = call->several[0];
		call->several_count = 0;
	}
	if (!may_walk(actor, target) || (call->several_count && walk_waits()) || !want(actor, call, target, WAITS_PLAIN))
	{
		free(call);
		return FALSE;
	}
	call->name = name;
	call->flag = child;
	call->walks = call->want_count;
	call->execute = execute_by_name;
	call->finish = finish_got;
	call->expected = target || call->several_count ? OUTCOME_HIT : OUTCOME_MISS;
	run_call(actor, call);
	return TRUE;
}

static void execute_by_config(manager_call_t *this)
{
	this->got = run->manager->checkout_by_config(run->manager, this->cfg);
}

/* described in header */
bool start_by_config(int actor, uint32_t choice)
{
	const options_t *options = &run->sequence->options;
	int index = choice % PEER_CFGS, i;
	peer_cfg_t *cfg = run->cfgs[index];
	manager_call_t *call;
	sa_t *target = NULL;
	bool queued = FALSE;

	call = call_create(METHOD_CHECKOUT_BY_CONFIG, "checkout_by_config(%s)", cfg->get_name(cfg));
	call->cfg = cfg;
	call->execute = execute_by_config;
	call->finish = finish_got;
	call->expected = OUTCOME_MISS;
	if (!options->reuse_ikesa && cfg->get_ike_version(cfg) == IKEV2)
	{
		if (walk_waits() || disturbs(NULL))
		{
			free(call);
			return FALSE;
		}
	}
	else
	{
		call->several_count = sa_collect(call->several, fits_config, cfg);
		for (i = 0; i < ACTORS; i++)
		{	/* one at a time may look for an SA for a config */
			queued = queued || (run->calls[i] && run->calls[i]->waits == WAITS_CONFIG && run->calls[i]->cfg == cfg);
		}
		if (call->several_count == 1)
		{
			target = call->several[0];
			call->several_count = 0;
		}
		if (any_held(target) || (walk_waits() && !queued) || (target && target->holder == actor) ||
			(queued && !target) || (!target && disturbs(NULL)) || !want(actor, call, target, WAITS_CONFIG))
		{
			free(call);
			return FALSE;
		}
		call->walks = call->want_count;
	}
	if (run->spi_source == SPIS_NONE)
	{
		call->expected = OUTCOME_NO_SPI;
	}
	run_call(actor, call);
	return TRUE;
}

static void execute_enumerate(manager_call_t *this)
{
	ike_sa_manager_t *manager = run->manager;
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;

	enumerator = manager->create_enumerator(manager, this->flag);
	while ((!this->number || this->seen_count < (int)this->number) && enumerator->enumerate(enumerator, &ike_sa))
	{
		this->yes = this->yes || charon->bus->get_sa(charon->bus) != ike_sa;
		this->seen[this->seen_count++] = sa_of(ike_sa, NULL);
	}
	enumerator->destroy(enumerator);
}

static int compare_sas(const void *a, const void *b)
{
	const sa_t *const *x = a, *const *y = b;

	return (*x)->label - (*y)->label;
}

/**
 * Name all SAs seen; in which order they came is not part of the contract.
 */
static void describe_seen(manager_call_t *this)
{
	sa_t **seen = this->seen;
	int i;

	qsort(seen, this->seen_count, sizeof(seen[0]), compare_sas);
	for (i = 0; i < this->seen_count; i++)
	{
		if (i && seen[i] == seen[i - 1])
		{
			call_result(this, " again");
		}
		if (seen[i]->holder == -1)
		{
			describe(this, seen[i]);
		}
		else
		{
			call_result(this, " sa%d", seen[i]->label);
		}
	}
	if (this->yes)
	{
		call_result(this, ", not on the bus");
	}
}

static void finish_enumerate(manager_call_t *this, int actor __attribute__((unused)))
{
	outcome_t outcome = this->seen_count ? OUTCOME_HIT : OUTCOME_MISS;

	if (this->parked)
	{
		outcome = this->choice[0] == (uint32_t)this->seen_count ? OUTCOME_WAITED : OUTCOME_DRIVEN_OUT;
	}
	if (run->flushing)
	{	/* what it saw before is gone, and depends on the order */
		call_result(this, " driven out");
		outcome = OUTCOME_FLUSHED;
	}
	else if (this->number)
	{
		call_result(this, " %d%s", this->seen_count, this->yes ? ", not on the bus" : "");
		outcome = OUTCOME_BROKEN_OFF;
	}
	else
	{
		describe_seen(this);
	}
	coverage_outcome(this->method, outcome);
}

/* described in header */
bool start_enumerate(int actor, bool wait, uint32_t steps)
{
	manager_call_t *call;
	sa_t *sas[MAX_SAS], *target = NULL;
	int i, count;

	count = sa_collect(sas, is_registered, NULL);
	for (i = 0; i < count; i++)
	{
		if (sas[i]->holder != -1)
		{
			target = sas[i];
		}
	}
	if (wait && (any_held(target) || walk_waits() || (target && (target->holder == actor || steps))))
	{
		return FALSE;
	}
	call = call_create(METHOD_CREATE_ENUMERATOR, "create_enumerator(%s)%s", wait ? "wait" : "skip",
					   steps ? ", broken off" : "");
	if (wait && !want(actor, call, target, WAITS_ALONE))
	{
		free(call);
		return FALSE;
	}
	call->walks = call->want_count;
	call->flag = wait;
	call->number = steps;
	call->choice[0] = count;
	call->execute = execute_enumerate;
	call->finish = finish_enumerate;
	run_call(actor, call);
	return TRUE;
}

static void execute_delete_job(manager_call_t *this)
{
	this->job = (job_t*)delete_ike_sa_job_create(this->id, this->flag);
	this->job->execute(this->job);
}

/* described in header */
bool start_delete_job(int actor, const id_key_t *key, bool established)
{
	manager_call_t *call;
	bool depends;
	sa_t *target;
	char buf[64];

	target = sa_match(key, &depends);
	call = call_create(METHOD_COUNT, "delete_ike_sa_job(%s, %s)", key_name(key, buf),
					   established ? "always" : "if half-open");
	if (depends || !want(actor, call, target, WAITS_ALONE))
	{
		free(call);
		return FALSE;
	}
	call->id = key_to_id(key);
	call->flag = established;
	call->execute = execute_delete_job;
	call->finish = finish_nothing;
	run_call(actor, call);
	return TRUE;
}

/* described in header */
bool start_wait(int actor, sa_t *sa, const uint32_t choice[CHOICES])
{
	peer_cfg_t *cfg;
	int i;

	switch (choice[1] % 10)
	{
		default:
			return start_checkout(actor, &sa->key);
		case 2:
			return start_by_id(actor, sa, 0);
		case 3:
		case 4:
			return start_request(actor, sa, choice, choice[1] / 10 % 4 == 0);
		case 5:
			return start_by_name(actor, sa->ike_sa->get_name(sa->ike_sa), FALSE);
		case 6:
		case 7:
			cfg = sa->ike_sa->get_peer_cfg(sa->ike_sa);
			for (i = 0; cfg && i < PEER_CFGS; i++)
			{
				if (cfg == run->cfgs[i])
				{
					return start_by_config(actor, i);
				}
			}
			return FALSE;
		case 8:
			return start_delete_job(actor, &sa->key, choice[2] % 2);
		case 9:
			return start_enumerate(actor, TRUE, 0);
	}
}
