/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_foreign_sas.h"

#include <stdatomic.h>

#include <collections/hashtable.h>
#include <threading/mutex.h>

/**
 * Set of IKE_SAs
 */
struct ivo_foreign_sas_t {

	/**
	 * There was one
	 */
	atomic_bool used;

	/**
	 * The IKE_SAs, by their address
	 */
	hashtable_t *sas;

	/**
	 * Protects the table
	 */
	mutex_t *mutex;
};

/*
 * Described in header.
 */
ivo_foreign_sas_t *ivo_foreign_sas_create(void)
{
	ivo_foreign_sas_t *this;

	INIT(this,
		.sas = hashtable_create(hashtable_hash_ptr, hashtable_equals_ptr, 32),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	return this;
}

/*
 * Described in header.
 */
bool ivo_foreign_sas_used(ivo_foreign_sas_t *this)
{
	return atomic_load_explicit(&this->used, memory_order_acquire);
}

/*
 * Described in header.
 */
void ivo_foreign_sas_add(ivo_foreign_sas_t *this, ike_sa_t *ike_sa)
{
	this->mutex->lock(this->mutex);
	this->sas->put(this->sas, ike_sa, ike_sa);
	this->mutex->unlock(this->mutex);
	atomic_store_explicit(&this->used, TRUE, memory_order_release);
}

/*
 * Described in header.
 */
bool ivo_foreign_sas_has(ivo_foreign_sas_t *this, ike_sa_t *ike_sa)
{
	bool found;

	if (!ivo_foreign_sas_used(this))
	{
		return FALSE;
	}
	this->mutex->lock(this->mutex);
	found = this->sas->get(this->sas, ike_sa) != NULL;
	this->mutex->unlock(this->mutex);
	return found;
}

/*
 * Described in header.
 */
bool ivo_foreign_sas_remove(ivo_foreign_sas_t *this, ike_sa_t *ike_sa)
{
	bool found;

	if (!ivo_foreign_sas_used(this))
	{
		return FALSE;
	}
	this->mutex->lock(this->mutex);
	found = this->sas->remove(this->sas, ike_sa) != NULL;
	this->mutex->unlock(this->mutex);
	return found;
}

/*
 * Described in header.
 */
void ivo_foreign_sas_destroy(ivo_foreign_sas_t *this)
{
	this->sas->destroy(this->sas);
	this->mutex->destroy(this->mutex);
	free(this);
}
