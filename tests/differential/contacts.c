/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SAs between the same peers.
 */

#include "operations.h"

static void execute_uniqueness(manager_call_t *this)
{
	this->yes = run->manager->check_uniqueness(run->manager, this->sa->ike_sa, this->flag);
}

static void finish_uniqueness(manager_call_t *this, int actor __attribute__((unused)))
{
	outcome_t outcome = this->yes ? OUTCOME_TRUE : OUTCOME_FALSE;

	call_result(this, this->yes ? " cancel" : " fine");
	coverage_outcome(this->method, outcome);
	if (!this->sa->registered)
	{
		coverage_outcome(this->method, OUTCOME_UNREGISTERED);
	}
	if (this->parked)
	{
		coverage_outcome(this->method, OUTCOME_WAITED);
	}
}

/* described in header */
bool start_uniqueness(int actor, sa_t *sa, bool force)
{
	peer_cfg_t *cfg = sa->ike_sa->get_peer_cfg(sa->ike_sa);
	unique_policy_t policy;
	manager_call_t *call;
	char name[16];

	if (!cfg || sa->indexed)
	{	/* it would wait for itself */
		return FALSE;
	}
	policy = cfg->get_unique_policy(cfg);
	call = call_create(METHOD_CHECK_UNIQUENESS, "check_uniqueness(%s%s)", sa_name(sa, name),
					   force ? ", INITIAL_CONTACT" : "");
	call->sa = sa;
	call->flag = force;
	call->execute = execute_uniqueness;
	call->finish = finish_uniqueness;
	if (policy != UNIQUE_NEVER && (policy != UNIQUE_NO || force) && !want_duplicates(actor, sa, call))
	{
		free(call);
		return FALSE;
	}
	run_call(actor, call);
	return TRUE;
}

/* described in header */
void start_rival(int actor, const uint32_t choice[CHOICES])
{
	sa_t *duplicates[MAX_SAS], *sa;
	int i, count;

	sa = sa_choose(choice[1], is_indexed_held_by_other, &actor) ?: sa_choose(choice[1], is_indexed, NULL);
	sa = sa ? start_twin(actor, sa, choice) : NULL;
	if (!sa)
	{
		return;
	}
	/* an actor must not wait for what it has itself */
	count = sa_duplicates(sa, duplicates);
	for (i = 0; i < count; i++)
	{
		if (duplicates[i]->alive && duplicates[i]->holder == actor && is_free(actor))
		{
			start_checkin(actor, duplicates[i]);
		}
	}
	if (!is_free(actor))
	{
		return;
	}
	if (choice[2] % 2)
	{
		start_register(actor, sa);
	}
	if (sa->key.version == IKEV1_MAJOR_VERSION && choice[2] / 2 % 2)
	{
		start_move(actor, sa, choice, IKE_ESTABLISHED, TRUE);
		start_checkin(actor, sa);
	}
	else
	{
		start_uniqueness(actor, sa, choice[2] / 4 % 3 == 0);
	}
}

static void execute_audit(manager_call_t *this)
{
	ike_sa_manager_t *manager = run->manager;
	static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
	int i, j, k;

	for (i = 0; i < MY_IDS; i++)
	{
		for (j = 0; j < OTHER_IDS; j++)
		{
			for (k = 0; k < (int)countof(families); k++)
			{
				identification_t *me = environment->my_ids[i], *other = environment->other_ids[j];
				enumerator_t *enumerator;
				ike_sa_id_t *id;
				bool contact;
				char buf[64];
				int count = 0;

				contact = manager->has_contact(manager, me, other, families[k]);
				coverage_outcome(METHOD_HAS_CONTACT, contact ? OUTCOME_TRUE : OUTCOME_FALSE);
				enumerator = manager->create_id_enumerator(manager, me, other, families[k]);
				while (enumerator->enumerate(enumerator, &id))
				{
					id_key_t key = key_of(id);

					call_result(this, "%s%s", count++ ? ", " : " ", key_name(&key, buf));
					if (this->flag)
					{
						break;
					}
				}
				enumerator->destroy(enumerator);
				coverage_outcome(METHOD_CREATE_ID_ENUMERATOR, !count ? OUTCOME_MISS :
								 this->flag ? OUTCOME_BROKEN_OFF : OUTCOME_HIT);
				if (contact)
				{
					call_result(this, " between %d and %d, family %d", i, j, families[k]);
				}
			}
		}
	}
}

/* described in header */
void start_audit(int actor, bool break_off)
{
	manager_call_t *call;

	call = call_create(METHOD_HAS_CONTACT, "has_contact(), create_id_enumerator()%s", break_off ? ", broken off" : "");
	call->flag = break_off;
	call->execute = execute_audit;
	call->finish = finish_nothing;
	run_call(actor, call);
}
