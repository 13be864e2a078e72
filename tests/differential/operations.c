/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Choosing what to do.
 */

#include "operations.h"

/**
 * Do one kind of thing, if there is something to do it with.
 */
static void operate(kind_t kind, int actor, const uint32_t choice[CHOICES])
{
	sa_t *sa;
	id_key_t key;
	char *name;

	switch (kind)
	{
		case KIND_CREATE:
			start_create(actor, choice);
			break;
		case KIND_ESTABLISH:
			start_establish(actor, choice);
			break;
		case KIND_REGISTER:
			sa = sa_choose(choice[0], is_unregistered_of, &actor);
			if (sa)
			{
				start_register(actor, sa);
			}
			break;
		case KIND_CHECKIN:
			sa = sa_choose(choice[0], is_held_by, &actor);
			if (sa)
			{
				start_checkin(actor, sa);
			}
			break;
		case KIND_DESTROY:
			sa = sa_choose(choice[0], is_held_by, &actor);
			if (sa)
			{
				start_destroy(actor, sa);
			}
			break;
		case KIND_CHANGE:
			sa = sa_choose(choice[3], is_held_by, &actor);
			if (sa)
			{
				start_change(actor, sa, choice);
			}
			break;
		case KIND_CHECKOUT:
			if (choose_id(choice, &key))
			{
				start_checkout(actor, &key);
			}
			break;
		case KIND_MESSAGE:
			operate_message(actor, choice);
			break;
		case KIND_PACKET:
			operate_packet(actor, choice);
			break;
		case KIND_BY_CONFIG:
			start_by_config(actor, choice[0]);
			break;
		case KIND_BY_ID:
			sa = choice[0] % 6 ? sa_choose(choice[1], is_registered, NULL) : NULL;
			start_by_id(actor, sa, choice[2] | 0x80000000);
			break;
		case KIND_BY_NAME:
			name = run->cfgs[choice[0] % PEER_CFGS]->get_name(run->cfgs[choice[0] % PEER_CFGS]);
			if (choice[1] % 3 == 0)
			{
				child_cfg_t *child = environment->children[choice[0] % CHILD_CFGS];

				name = child->get_name(child);
			}
			start_by_name(actor, name, choice[1] % 3 == 0 || choice[1] % 8 == 1);
			break;
		case KIND_ENUMERATE:
			start_enumerate(actor, choice[0] % 2, choice[1] % 4 == 0 ? 1 + choice[2] % 3 : 0);
			break;
		case KIND_RIVAL:
			start_rival(actor, choice);
			break;
		case KIND_UNIQUENESS:
			sa = sa_choose(choice[0], is_held_by, &actor);
			if (sa)
			{
				start_uniqueness(actor, sa, choice[1] % 4 == 0);
			}
			break;
		case KIND_NEW_SPI:
			sa = choice[2] % 4 ? sa_choose(choice[0], can_change_spi, &actor) : NULL;
			sa = sa ?: sa_choose(choice[0], is_held_by, &actor);
			if (sa)
			{
				key = sa->key;
				start_new_spi(actor, sa, choice);
				if (choice[3] % 2 && sa->registered)
				{
					start_checkin(actor, sa);
				}
				if (choice[4] % 2 && is_free(actor))
				{	/* as a job that was queued before */
					start_checkout(actor, &key);
				}
			}
			break;
		case KIND_AUDIT:
			start_audit(actor, choice[0] % 4 == 0);
			break;
		case KIND_SPI_SOURCE:
			start_spi_source(actor, choice[0]);
			break;
		case KIND_DELETE_JOB:
			sa = sa_choose(choice[0], is_registered, NULL);
			if (sa)
			{
				start_delete_job(actor, &sa->key, choice[1] % 2);
			}
			break;
		case KIND_WAIT:
			sa = sa_choose(choice[0], is_held_by_other, &actor);
			if (sa)
			{
				start_wait(actor, sa, choice);
			}
			break;
		case KIND_STAND:
			operation_calm();
			switch (choice[4] % 4)
			{
				case 0:
					walk_and_wait(choice);
					break;
				case 1:
					stand_and_want(choice);
					break;
				case 2:
					stand_and_wait(choice);
					break;
				default:
					stand_on_duplicate(choice);
					break;
			}
			operation_calm();
			break;
		case KIND_INITIATE:
			sa = sa_choose(choice[0], is_held_by, &actor);
			if (sa)
			{
				start_initiate(actor, sa);
			}
			break;
		case KIND_REMEMBER:
			sa = sa_choose(choice[0], is_registered, NULL);
			if (sa)
			{
				run_remember(&sa->key);
			}
			break;
		case KIND_CALM:
			operation_calm();
			break;
		default:
			break;
	}
}

/* described in header */
void operation_run(const operation_t *operation)
{
	static const kind_t common[] = {
		KIND_CHANGE, KIND_CHECKIN, KIND_CHECKOUT, KIND_CREATE, KIND_MESSAGE, KIND_ESTABLISH,
	};
	int actors = run->sequence->options.actors, actor = operation->actor, i;
	size_t before = run->trace->len;

	for (i = 0; i < actors && !is_free(actor); i++)
	{
		actor = (actor + 1) % actors;
	}
	if (!is_free(actor))
	{
		run_wrong("all actors wait");
		run->give_up();
	}
	if ((run->spi_source == SPIS_REPEATED || run->spi_source == SPIS_NONE) && run->nr > run->spi_source_until)
	{
		run->spi_source = SPIS_CALLBACK;
	}
	operate(operation->kind, actor, operation->choice);
	if (run->trace->len == before && operation->kind != KIND_REMEMBER)
	{
		operate(common[operation->choice[CHOICES - 1] % countof(common)], actor, operation->choice);
	}
	if (run->trace->len != before)
	{
		run_write_counts();
	}
}
