/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Making SAs, registering them, checking them in, destroying them.
 */

#include "operations.h"

#include "prng.h"

/* described in header */
void describe(manager_call_t *call, sa_t *sa)
{
	ike_sa_t *ike_sa = sa->ike_sa;
	id_key_t key = key_of(ike_sa->get_id(ike_sa));
	char buf[64], name[16];

	call_result(call, " %s[%s, %s %s, %d children]", sa_name(sa, name), key_name(&key, buf),
				enum_to_name(ike_sa_state_names, ike_sa->get_state(ike_sa)), ike_sa->get_name(ike_sa),
				ike_sa->get_child_count(ike_sa));
}

/* described in header */
void check_label(manager_call_t *call, ike_sa_t *ike_sa)
{
	const options_t *options = &run->sequence->options;
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	uint64_t spi;

	spi = id->is_initiator(id) ? id->get_initiator_spi(id) : id->get_responder_spi(id);
	if (!spi || (be64toh(spi) & options->spi_mask) != options->spi_label)
	{
		call_result(call, " with an SPI without the label");
	}
}

static void dress(ike_sa_t *ike_sa, const uint32_t choice[CHOICES])
{
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	identification_t *me, *other;
	host_t *host;

	if (!id->is_initiator(id))
	{	/* what the peer chose */
		prng_t prng = { .state = choice[1] };

		id->set_initiator_spi(id, prng_next(&prng));
	}
	if (choice[2] % 8)
	{
		ike_sa->set_peer_cfg(ike_sa, choose_cfg(ike_sa, choice[2] / 8));
	}
	if (choice[3] % 8)
	{
		host = environment->peers[choose(choice[3] / 8, PEER_HOSTS)];
		ike_sa->set_my_host(ike_sa, environment->me->clone(environment->me));
		ike_sa->set_other_host(ike_sa, host->clone(host));
	}
	if (choice[4] % 8)
	{
		me = environment->my_ids[choose(choice[4] / 8, MY_IDS)];
		ike_sa->set_my_id(ike_sa, me->clone(me));
		other = environment->other_ids[choose(choice[4] / 32, OTHER_IDS)];
		if (choice[4] / 256 % 4)
		{
			ike_sa->set_other_id(ike_sa, other->clone(other));
		}
		else
		{	/* behind EAP the IKE identity is another one */
			auth_cfg_t *auth = auth_cfg_create();

			auth->add(auth, AUTH_RULE_EAP_IDENTITY, other->clone(other));
			ike_sa->add_auth_cfg(ike_sa, FALSE, auth);
			ike_sa->set_other_id(ike_sa, environment->other_ids[0]->clone(environment->other_ids[0]));
		}
	}
}

static void execute_create(manager_call_t *this)
{
	ike_version_t version = this->choice[0] % 3 ? IKEV2 : IKEV1;

	this->got = run->manager->create_new(run->manager, version, this->choice[0] / 3 % 2);
	if (this->got)
	{
		dress(this->got, this->choice);
	}
}

/* described in header */
void finish_create(manager_call_t *this, int actor)
{
	sa_t *sa;

	if (!this->got)
	{
		call_result(this, " none");
		coverage_outcome(this->method, run->flushing ? OUTCOME_FLUSHED : OUTCOME_NO_SPI);
		return;
	}
	sa = sa_of(this->got, NULL);
	sa->registered = FALSE;
	sa->holder = actor;
	describe(this, sa);
	check_label(this, this->got);
	coverage_outcome(this->method, OUTCOME_NEW);
}

/* described in header */
void start_create(int actor, const uint32_t choice[CHOICES])
{
	manager_call_t *call;

	call = call_create(METHOD_CREATE_NEW, "create_new(IKEv%d, %s)", choice[0] % 3 ? 2 : 1,
					   choice[0] / 3 % 2 ? "initiator" : "responder");
	memcpy(call->choice, choice, sizeof(call->choice));
	call->execute = execute_create;
	call->finish = finish_create;
	run_call(actor, call);
}

static void execute_register(manager_call_t *this)
{
	run->manager->checkout_new(run->manager, this->sa->ike_sa);
}

static void finish_register(manager_call_t *this, int actor __attribute__((unused)))
{
	this->sa->registered = TRUE;
	this->sa->order = ++run->orders;
	this->sa->key = key_of(this->sa->ike_sa->get_id(this->sa->ike_sa));
	coverage_outcome(this->method, OUTCOME_DONE);
}

/* described in header */
void start_register(int actor, sa_t *sa)
{
	id_key_t key = key_of(sa->ike_sa->get_id(sa->ike_sa));
	manager_call_t *call;
	char name[16];

	if (walk_waits() || disturbs(&key))
	{
		return;
	}
	call = call_create(METHOD_CHECKOUT_NEW, "checkout_new(%s)", sa_name(sa, name));
	call->sa = sa;
	call->execute = execute_register;
	call->finish = finish_register;
	run_call(actor, call);
}

/**
 * Keep what the manager has to note of an SA: once it is checked in somebody else may have it.
 */
static void note_sa(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	ike_sa_state_t state = ike_sa->get_state(ike_sa);

	this->key = key_of(ike_sa->get_id(ike_sa));
	this->connecting = state == IKE_CONNECTING;
	this->becomes_indexed = !this->sa->indexed && (state == IKE_ESTABLISHED || state == IKE_PASSIVE);
	if (this->becomes_indexed)
	{
		sa_index(this->sa);
		/* not before the duplicates are checked */
		this->sa->indexed = FALSE;
	}
}

static void execute_checkin(manager_call_t *this)
{
	run->manager->checkin(run->manager, this->sa->ike_sa);
}

static void finish_checkin(manager_call_t *this, int actor)
{
	outcome_t outcome = OUTCOME_DONE;

	if (this->flag)
	{
		outcome = OUTCOME_UNREGISTERED;
	}
	else if (this->parked)
	{
		outcome = OUTCOME_WAITED;
	}
	else if (this->yes)
	{
		outcome = OUTCOME_WITH_WAITERS;
	}
	if (run->flushing)
	{
		outcome = OUTCOME_FLUSHED;
	}
	coverage_outcome(this->method, outcome);
	if (this->sa->alive)
	{
		this->sa->key = this->key;
		this->sa->processing = -1;
		this->sa->indexed = this->sa->indexed || this->becomes_indexed;
		if (this->connecting)
		{
			this->sa->family_changed = FALSE;
		}
		if (this->sa->holder == actor)
		{
			this->sa->holder = -1;
		}
	}
}

/* described in header */
bool want_duplicates(int actor, sa_t *sa, manager_call_t *call)
{
	sa_t *duplicates[MAX_SAS];
	int i, count;

	count = sa_duplicates(sa, duplicates);
	for (i = 0; i < count; i++)
	{
		bool depends;
		sa_t *target = sa_match(&duplicates[i]->key, &depends);

		/* they are checked out by their IDs: if that stands for a newer one it matters when that one goes */
		if (depends || target != duplicates[i] || target->holder == actor ||
			has_waiters(target) || (target->holder != -1 && !may_wait(actor, target, WAITS_ALONE, NULL)))
		{
			return FALSE;
		}
		call->wants[call->want_count++] = target;
	}
	call->waits = WAITS_ALONE;
	return !call->want_count || !walk_waits();
}

/* described in header */
bool start_checkin(int actor, sa_t *sa)
{
	ike_sa_t *ike_sa = sa->ike_sa;
	manager_call_t *call;
	peer_cfg_t *cfg;
	char name[16];

	if (!sa->registered)
	{
		id_key_t key = key_of(ike_sa->get_id(ike_sa));

		if (walk_waits() || disturbs(&key))
		{
			return FALSE;
		}
	}
	call = call_create(METHOD_CHECKIN, "checkin(%s)", sa_name(sa, name));
	call->sa = sa;
	call->execute = execute_checkin;
	call->finish = finish_checkin;
	call->yes = has_waiters(sa);
	cfg = ike_sa->get_peer_cfg(ike_sa);
	note_sa(call);
	if (!sa->registered)
	{	/* it is from the start, and may have to wait for duplicates then */
		call->flag = TRUE;
		sa->registered = TRUE;
		sa->order = ++run->orders;
		sa->key = call->key;
	}
	if (call->becomes_indexed && ike_sa->get_version(ike_sa) == IKEV1 && !run->flushing &&
		ike_sa->has_condition(ike_sa, COND_INIT_CONTACT_SEEN) && cfg->get_unique_policy(cfg) != UNIQUE_NEVER &&
		!want_duplicates(actor, sa, call))
	{
		sa->registered = !call->flag;
		sa->my_id->destroy(sa->my_id);
		sa->other_id->destroy(sa->other_id);
		sa->my_id = sa->other_id = NULL;
		free(call);
		return FALSE;
	}
	run_call(actor, call);
	return TRUE;
}

static void execute_destroy(manager_call_t *this)
{
	run->manager->checkin_and_destroy(run->manager, this->sa->ike_sa);
}

static void finish_destroy(manager_call_t *this, int actor)
{
	outcome_t outcome;

	if (run->flushing)
	{
		outcome = OUTCOME_FLUSHED;
	}
	else if (!this->sa->registered)
	{
		outcome = OUTCOME_UNREGISTERED;
	}
	else
	{
		outcome = this->yes ? OUTCOME_WITH_WAITERS : OUTCOME_DONE;
	}
	coverage_outcome(this->method, outcome);
	if (this->sa->alive && this->sa->holder == actor)
	{
		this->sa->holder = -1;
	}
}

/* described in header */
void start_destroy(int actor, sa_t *sa)
{
	manager_call_t *call;
	char name[16];

	call = call_create(METHOD_CHECKIN_AND_DESTROY, "checkin_and_destroy(%s)", sa_name(sa, name));
	call->sa = sa;
	call->execute = execute_destroy;
	call->finish = finish_destroy;
	call->yes = has_waiters(sa);
	run_call(actor, call);
}
