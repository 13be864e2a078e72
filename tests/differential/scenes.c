/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Several operations in an order that shows something: walks that wait, enumerators that stand on an SA.
 */

#include "operations.h"

static void execute_stand(manager_call_t *this)
{
	ike_sa_manager_t *manager = run->manager;
	ike_sa_t *ike_sa;

	run->standing = manager->create_enumerator(manager, this->flag);
	while (run->standing->enumerate(run->standing, &ike_sa))
	{
		if (ike_sa == this->sa->ike_sa)
		{
			this->yes = TRUE;
			return;
		}
	}
}

static void finish_stand(manager_call_t *this, int actor)
{
	call_result(this, this->yes ? " stands" : " never came to it");
	if (this->yes)
	{
		run->stands_on = this->sa;
	}
	run->stander = actor;
}

/**
 * Walk to an SA and stay there.
 */
static bool stand(int actor, sa_t *sa, bool wait)
{
	manager_call_t *call;
	char name[16];

	call = call_create(METHOD_CREATE_ENUMERATOR, "create_enumerator(%s) up to %s", wait ? "wait" : "skip",
					   sa_name(sa, name));
	call->sa = sa;
	call->flag = wait;
	call->execute = execute_stand;
	call->finish = finish_stand;
	run_call(actor, call);
	return run->stands_on == sa;
}

static void execute_walk_on(manager_call_t *this)
{
	ike_sa_t *ike_sa;

	while (this->flag && run->standing->enumerate(run->standing, &ike_sa))
	{
		this->seen[this->seen_count++] = sa_of(ike_sa, NULL);
	}
	run->standing->destroy(run->standing);
}

static void finish_walk_on(manager_call_t *this __attribute__((unused)), int actor __attribute__((unused)))
{
	run->standing = NULL;
	run->stands_on = NULL;
	run->stander = -1;
}

/**
 * Leave the SA, and walk to the end or not.
 */
static void walk_on(int actor, bool to_the_end)
{
	manager_call_t *call;

	call = call_create(METHOD_CREATE_ENUMERATOR, "%s", to_the_end ? "enumerate the rest" : "leave it");
	call->flag = to_the_end;
	call->execute = execute_walk_on;
	call->finish = finish_walk_on;
	run_call(actor, call);
}

/* described in header */
void checkout_anyway(int actor, sa_t *sa, waits_t waits)
{
	manager_call_t *call;
	char buf[64];

	call = call_create(METHOD_CHECKOUT, "checkout(%s)", key_name(&sa->key, buf));
	call->id = key_to_id(&sa->key);
	call->execute = execute_checkout;
	call->finish = finish_got;
	call->expected = OUTCOME_HIT;
	call->waits = waits;
	call->wants[call->want_count++] = sa;
	run_call(actor, call);
}

static void checkin_if_held(int actor, sa_t *sa)
{
	if (sa->alive && sa->holder == actor && is_free(actor))
	{
		start_checkin(actor, sa);
	}
}

/* described in header */
void stand_and_want(const uint32_t choice[CHOICES])
{
	int actors = run->sequence->options.actors;
	int stander = choice[0] % actors, other = (stander + 1 + choice[0] / 3 % 2) % ACTORS;
	bool depends;
	sa_t *sa;

	sa = sa_choose(choice[1], is_not_held, NULL);
	if (!sa || sa_match(&sa->key, &depends) != sa || depends || !stand(stander, sa, choice[2] % 2))
	{
		if (run->standing)
		{
			walk_on(stander, FALSE);
		}
		return;
	}
	run->hold_lines = TRUE;
	if (actors > 1 && choice[2] / 2 % 2)
	{
		checkout_anyway(other, sa, WAITS_PLAIN);
		trace_line(run->trace, "  actor %d %s", other, is_free(other) ? "has it" : "waits for it");
	}
	if (choice[2] / 4 % 2)
	{
		checkout_anyway(stander, sa, WAITS_NOT);
		checkin_if_held(stander, sa);
	}
	walk_on(stander, choice[2] / 8 % 2);
	if (actors > 1)
	{
		checkin_if_held(other, sa);
	}
	run->hold_lines = FALSE;
	run_write_lines();
}

/* described in header */
void stand_and_wait(const uint32_t choice[CHOICES])
{
	int stander = choice[0] % ACTORS, other = (stander + 1 + choice[0] / 3 % 2) % ACTORS;
	sa_t *first, *second;
	bool depends;

	second = sa_choose(choice[1], is_not_held, NULL);
	if (!second || run->sequence->options.table_segments > 1 || run->sequence->options.actors == 1 ||
		sa_match(&second->key, &depends) != second || depends || !start_checkout(other, &second->key))
	{
		return;
	}
	first = sa_choose(choice[2], is_not_held, NULL);
	if (!first || sa_match(&first->key, &depends) != first || depends || !stand(stander, first, FALSE))
	{
		if (run->standing)
		{
			walk_on(stander, FALSE);
		}
		return;
	}
	run->hold_lines = TRUE;
	checkout_anyway(stander, second, WAITS_ALONE);
	trace_line(run->trace, "  actor %d %s", stander, is_free(stander) ? "does not wait" : "waits");
	checkout_anyway(other, first, WAITS_NOT);
	checkin_if_held(other, first);
	/* always this: with charon's manager checkin_and_destroy() comes back only when the stander has left its SA. Who is
	 * driven out of an SA is seen elsewhere */
	checkin_if_held(other, second);
	checkin_if_held(stander, second);
	walk_on(stander, choice[3] / 3 % 2);
	run->hold_lines = FALSE;
	run_write_lines();
}

static bool can_be_duplicate(sa_t *sa, void *arg __attribute__((unused)))
{
	peer_cfg_t *cfg = sa->ike_sa->get_peer_cfg(sa->ike_sa);

	return is_not_held(sa, NULL) && sa->indexed && sa->key.version == IKEV2_MAJOR_VERSION && cfg &&
		   sa->ike_sa->get_state(sa->ike_sa) == IKE_ESTABLISHED &&
		   (cfg->get_unique_policy(cfg) == UNIQUE_REPLACE || cfg->get_unique_policy(cfg) == UNIQUE_KEEP);
}

/* described in header */
void stand_on_duplicate(const uint32_t choice[CHOICES])
{
	int stander = choice[0] % ACTORS, other = (stander + 1 + choice[0] / 3 % 2) % ACTORS;
	uint32_t nothing[CHOICES] = { 1 };
	sa_t *first, *second;

	first = sa_choose(choice[1], can_be_duplicate, NULL);
	if (!first || run->sequence->options.table_segments > 1 || run->sequence->options.actors == 1)
	{
		return;
	}
	second = start_twin(other, first, nothing);
	if (!second)
	{
		return;
	}
	start_register(other, second);
	if (!stand(stander, first, FALSE))
	{
		walk_on(stander, FALSE);
		return;
	}
	run->hold_lines = TRUE;
	checkout_anyway(stander, second, WAITS_ALONE);
	trace_line(run->trace, "  actor %d %s", stander, is_free(stander) ? "does not wait" : "waits");
	start_uniqueness(other, second, FALSE);
	checkin_if_held(other, second);
	checkin_if_held(stander, second);
	walk_on(stander, choice[3] % 2);
	run->hold_lines = FALSE;
	run_write_lines();
}

/* described in header */
void walk_and_wait(const uint32_t choice[CHOICES])
{
	uint32_t ways[CHOICES] = { choice[0], (const uint32_t[]){ 9, 9, 2, 5, 6 }[choice[2] % 5] };
	int holder = choice[0] % ACTORS, walker = (holder + 1 + choice[0] / 3 % 2) % ACTORS;
	bool depends;
	sa_t *sa;

	sa = sa_choose(choice[1], is_not_held, NULL);
	if (!sa || run->sequence->options.actors == 1 || sa_match(&sa->key, &depends) != sa || depends ||
		!start_checkout(holder, &sa->key) || !start_wait(walker, sa, ways))
	{
		return;
	}
	if (choice[3] % 4 == 0)
	{
		start_change(holder, sa, choice);
	}
	if (choice[3] % 4 == 1)
	{
		start_destroy(holder, sa);
	}
	else
	{
		checkin_if_held(holder, sa);
	}
}
