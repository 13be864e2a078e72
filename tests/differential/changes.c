/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Changing an SA that one has, and where SPIs come from.
 */

#include "operations.h"

#include "prng.h"

/** Operations for which SPIs repeat themselves, or can not be had. */
#define SPI_SOURCE_OPERATIONS 8

static void change_state(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	ike_sa_state_t next = IKE_CREATED;
	uint32_t choice = this->choice[1];
	id_key_t key = key_of(id);
	sa_t *same[MAX_SAS];
	int count;

	switch (ike_sa->get_state(ike_sa))
	{
		case IKE_CREATED:
			next = choice % 8 ? IKE_CONNECTING : IKE_PASSIVE;
			break;
		case IKE_CONNECTING:
		case IKE_PASSIVE:
			next = IKE_ESTABLISHED;
			break;
		case IKE_ESTABLISHED:
			next = choice % 3 == 0 ? IKE_REKEYING : choice % 3 == 1 ? IKE_DELETING : IKE_REKEYED;
			break;
		case IKE_REKEYING:
			next = choice % 2 ? IKE_REKEYED : IKE_ESTABLISHED;
			break;
		case IKE_REKEYED:
			next = IKE_DELETING;
			break;
		default:
			break;
	}
	if (next == IKE_ESTABLISHED || next == IKE_PASSIVE)
	{
		/* without both SPIs, or with a twin that has the same, the list of SAs between two peers goes wrong in
		 * charon's manager: see allowed.h */
		count = sa_collect(same, has_same_key, &key);
		if (!key.spi_i || !key.spi_r || !ike_sa->get_peer_cfg(ike_sa) || this->sa->family_changed ||
			count > 1 || (count && same[0] != this->sa))
		{
			next = IKE_CREATED;
		}
	}
	if (next == IKE_CREATED)
	{
		call_result(this, " nothing");
		return;
	}
	ike_sa->set_state(ike_sa, next);
	call_result(this, " %s", enum_to_name(ike_sa_state_names, next));
}

static void change_host(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	host_t *host, *current = ike_sa->get_other_host(ike_sa);
	ike_sa_state_t state = ike_sa->get_state(ike_sa);
	int peer = this->choice[1] % PEER_HOSTS;

	host = environment->peers[peer];
	if (host->get_family(host) != current->get_family(current))
	{
		if (!this->sa->indexed && state != IKE_CREATED && state != IKE_CONNECTING)
		{
			call_result(this, " nothing");
			return;
		}
		this->sa->family_changed = TRUE;
	}
	ike_sa->set_other_host(ike_sa, host->clone(host));
	call_result(this, " address of peer%d", peer);
}

static void change_child(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	child_sa_create_t create = {};
	child_cfg_t *cfg = environment->children[this->choice[1] % CHILD_CFGS];
	child_sa_t *child_sa;

	child_sa = child_sa_create(ike_sa->get_my_host(ike_sa), ike_sa->get_other_host(ike_sa), cfg, &create);
	ike_sa->add_child_sa(ike_sa, child_sa);
	call_result(this, " %s", child_sa->get_name(child_sa));
}

static void execute_change(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	ike_sa_state_t state = ike_sa->get_state(ike_sa);
	bool initiator = id->is_initiator(id);
	identification_t *other;
	prng_t prng = { .state = this->choice[2] };
	host_t *vip;

	/* an initiator that has sent something learns the responder's SPI before anything else */
	if (initiator && state == IKE_CONNECTING && !id->get_responder_spi(id) && this->choice[0] % 2)
	{
		id->set_responder_spi(id, prng_next(&prng));
		call_result(this, " responder SPI");
		return;
	}
	switch (this->choice[0] / 2 % 18)
	{
		default:
			change_state(this);
			break;
		case 8:
		case 9:
			change_host(this);
			break;
		case 10:
			other = environment->other_ids[this->choice[1] % OTHER_IDS];
			ike_sa->set_other_id(ike_sa, other->clone(other));
			call_result(this, " identity %d", this->choice[1] % OTHER_IDS);
			break;
		case 11:
		case 16:
			change_child(this);
			break;
		case 12:
		{
			peer_cfg_t *cfg = choose_cfg(ike_sa, this->choice[1]);

			ike_sa->set_peer_cfg(ike_sa, cfg);
			call_result(this, " config %s", cfg->get_name(cfg));
			break;
		}
		case 13:
			vip = host_create_from_string("10.9.0.1", 0);
			ike_sa->add_virtual_ip(ike_sa, FALSE, vip);
			vip->destroy(vip);
			call_result(this, " virtual IP");
			break;
		case 14:
		case 15:
			if (ike_sa->get_version(ike_sa) == IKEV1 && ike_sa->get_peer_cfg(ike_sa))
			{
				ike_sa->set_condition(ike_sa, COND_INIT_CONTACT_SEEN, TRUE);
				call_result(this, " INITIAL_CONTACT");
			}
			else
			{
				change_state(this);
			}
			break;
	}
}

/* described in header */
void finish_nothing(manager_call_t *this __attribute__((unused)), int actor __attribute__((unused)))
{
}

/* described in header */
void start_change(int actor, sa_t *sa, const uint32_t choice[CHOICES])
{
	manager_call_t *call;
	char name[16];

	call = call_create(METHOD_COUNT, "change %s", sa_name(sa, name));
	memcpy(call->choice, choice, sizeof(call->choice));
	call->sa = sa;
	call->execute = execute_change;
	call->finish = finish_nothing;
	run_call(actor, call);
}

/**
 * Bring an SA to a state by the shortest way.
 */
static void execute_establish(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	ike_sa_state_t state;
	prng_t prng = { .state = this->choice[3] };

	if (!id->get_responder_spi(id))
	{
		id->set_responder_spi(id, prng_next(&prng));
	}
	if (!ike_sa->get_peer_cfg(ike_sa))
	{
		ike_sa->set_peer_cfg(ike_sa, choose_cfg(ike_sa, this->choice[0] / 64));
	}
	if (this->flag)
	{
		ike_sa->set_condition(ike_sa, COND_INIT_CONTACT_SEEN, TRUE);
	}
	if (this->choice[0] / 8 % 4 == 0)
	{
		change_child(this);
	}
	do
	{
		state = ike_sa->get_state(ike_sa);
		this->choice[1] = 1;
		change_state(this);
	}
	while (ike_sa->get_state(ike_sa) != state && ike_sa->get_state(ike_sa) != (ike_sa_state_t)this->number);
}

/* described in header */
void start_move(int actor, sa_t *sa, const uint32_t choice[CHOICES], ike_sa_state_t state, bool initial_contact)
{
	manager_call_t *call;
	char name[16];

	call = call_create(METHOD_COUNT, "establish %s", sa_name(sa, name));
	memcpy(call->choice, choice, sizeof(call->choice));
	call->sa = sa;
	call->flag = initial_contact;
	call->number = state;
	call->execute = execute_establish;
	call->finish = finish_nothing;
	run_call(actor, call);
}

/* described in header */
void start_establish(int actor, const uint32_t choice[CHOICES])
{
	static const ike_sa_state_t states[] = {
		IKE_CONNECTING, IKE_CONNECTING, IKE_ESTABLISHED, IKE_ESTABLISHED, IKE_ESTABLISHED, IKE_DELETING,
	};
	int count = run->sa_count;
	sa_t *sa;

	start_create(actor, choice);
	if (run->sa_count == count)
	{
		return;
	}
	sa = &run->sas[count];
	if (choice[1] % 2)
	{
		start_register(actor, sa);
	}
	if (choice[1] / 2 % 4)
	{
		start_uniqueness(actor, sa, choice[1] / 8 % 4 == 0);
	}
	if (!is_free(actor) || !sa->alive)
	{
		return;
	}
	start_move(actor, sa, choice, states[choice[1] / 64 % countof(states)],
			   sa->key.version == IKEV1_MAJOR_VERSION && choice[1] / 32 % 2);
	if (choice[1] / 512 % 4)
	{
		start_checkin(actor, sa);
	}
}

static void execute_twin(manager_call_t *this)
{
	ike_sa_t *old = this->sa->ike_sa, *new;
	identification_t *id;
	ike_sa_id_t *spis;
	peer_cfg_t *cfg;
	host_t *host;

	new = this->got = run->manager->create_new(run->manager, old->get_version(old), FALSE);
	if (new)
	{
		spis = new->get_id(new);
		spis->set_initiator_spi(spis, spis->get_responder_spi(spis) ^ 0x5a5a);
		cfg = old->get_peer_cfg(old);
		if (cfg)
		{
			new->set_peer_cfg(new, cfg);
		}
		host = environment->me;
		new->set_my_host(new, host->clone(host));
		host = old->get_other_host(old);
		if (this->choice[0] % 4 == 0)
		{
			host = environment->peers[this->choice[0] / 4 % PEER_HOSTS];
		}
		new->set_other_host(new, host->clone(host));
		id = this->sa->my_id;
		new->set_my_id(new, id->clone(id));
		id = this->sa->other_id;
		new->set_other_id(new, id->clone(id));
	}
}

/* described in header */
sa_t *start_twin(int actor, sa_t *of, const uint32_t choice[CHOICES])
{
	int count = run->sa_count;
	manager_call_t *call;
	char name[16];

	call = call_create(METHOD_CREATE_NEW, "create_new() like %s", sa_name(of, name));
	memcpy(call->choice, choice, sizeof(call->choice));
	call->sa = of;
	call->execute = execute_twin;
	call->finish = finish_create;
	run_call(actor, call);
	return run->sa_count == count ? NULL : &run->sas[count];
}

static void execute_initiate(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;

	this->number = ike_sa->initiate(ike_sa, NULL, NULL);
}

static void finish_initiate(manager_call_t *this, int actor __attribute__((unused)))
{
	call_result(this, " %s", enum_to_name(status_names, this->number));
}

/* described in header */
void start_initiate(int actor, sa_t *sa)
{
	ike_sa_t *ike_sa = sa->ike_sa;
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);
	host_t *other = ike_sa->get_other_host(ike_sa);
	manager_call_t *call;
	char name[16];

	if (!id->is_initiator(id) || ike_sa->get_state(ike_sa) != IKE_CREATED || !ike_sa->get_peer_cfg(ike_sa) ||
		other->is_anyaddr(other))
	{
		return;
	}
	call = call_create(METHOD_COUNT, "initiate %s", sa_name(sa, name));
	call->sa = sa;
	call->execute = execute_initiate;
	call->finish = finish_initiate;
	run_call(actor, call);
}

static void execute_new_spi(manager_call_t *this)
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	ike_sa_id_t *id = ike_sa->get_id(ike_sa);

	this->key = key_of(id);
	if (this->choice[1] % 4)
	{	/* as it is while charon works with an SA */
		charon->bus->set_sa(charon->bus, ike_sa);
	}
	this->yes = run->manager->new_initiator_spi(run->manager, ike_sa);
}

static void finish_new_spi(manager_call_t *this, int actor __attribute__((unused)))
{
	ike_sa_t *ike_sa = this->sa->ike_sa;
	outcome_t outcome = this->yes ? OUTCOME_TRUE : OUTCOME_FALSE;
	id_key_t key = key_of(ike_sa->get_id(ike_sa));
	bool changed = key.spi_i != this->key.spi_i;
	char buf[64];

	call_result(this, this->yes ? " changed" : " refused");
	if (changed != this->yes)
	{
		call_result(this, ", but it is %s", changed ? "another one" : "the same");
	}
	call_result(this, ": %s", key_name(&key, buf));
	if ((key.spi_i ^ this->key.spi_i) & (uint64_t)(run->sequence->options.table_size - 1))
	{
		call_result(this, ", in another row of the table");
	}
	if (this->yes)
	{
		check_label(this, ike_sa);
		run_remember(&this->key);
		this->sa->key = key;
		if (has_waiters(this->sa))
		{
			outcome = OUTCOME_WITH_WAITERS;
		}
	}
	else if (!this->sa->registered)
	{
		outcome = OUTCOME_UNREGISTERED;
	}
	else if (run->spi_source == SPIS_NONE)
	{
		outcome = OUTCOME_NO_SPI;
	}
	coverage_outcome(this->method, outcome);
}

/* described in header */
void start_new_spi(int actor, sa_t *sa, const uint32_t choice[CHOICES])
{
	manager_call_t *call;
	char name[16];

	call = call_create(METHOD_NEW_INITIATOR_SPI, "new_initiator_spi(%s)", sa_name(sa, name));
	memcpy(call->choice, choice, sizeof(call->choice));
	call->sa = sa;
	call->execute = execute_new_spi;
	call->finish = finish_new_spi;
	run_call(actor, call);
}

static void execute_spi_source(manager_call_t *this)
{
	run->manager->set_spi_cb(run->manager, this->number == SPIS_MANAGER ? NULL : run_spi, NULL);
}

static void finish_spi_source(manager_call_t *this, int actor __attribute__((unused)))
{
	coverage_outcome(this->method, OUTCOME_DONE);
}

/* described in header */
void start_spi_source(int actor, uint32_t choice)
{
	static char *names[] = { "a callback", "a callback that repeats itself", "a callback that fails", "the manager" };
	manager_call_t *call;

	run->spi_source = choice % 4;
	run->spi_source_until = run->nr + SPI_SOURCE_OPERATIONS;
	if (run->spi_source == SPIS_REPEATED && !run->spi_last)
	{
		run->spi_source = SPIS_CALLBACK;
	}
	call = call_create(METHOD_SET_SPI_CB, "set_spi_cb(), SPIs from %s", names[run->spi_source]);
	call->number = run->spi_source;
	call->execute = execute_spi_source;
	call->finish = finish_spi_source;
	run_call(actor, call);
}
