/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_identity ivo_identity
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_IDENTITY_H_
#define IVO_IDENTITY_H_

#include <ivo/sessiontable.h>

#include <utils/identification.h>

/**
 * Longest identity in bytes that is brought into one form without allocating
 */
#define IVO_IDENTITY_BUFFER 256

typedef struct ivo_peers_buffer_t ivo_peers_buffer_t;

/**
 * Two identities in a form whose bytes are equal for equal identities.
 */
struct ivo_peers_buffer_t {

	/**
	 * The identities, with pointers to what follows or to the encodings
	 */
	ivo_peers_t peers;

	/**
	 * Room for those that have to be changed
	 */
	uint8_t buffer[2][IVO_IDENTITY_BUFFER];
};

/**
 * Bring two identities into that form: names that charon compares regardless of
 * case are in lower case.
 *
 * Distinguished names are taken as they are encoded, as charon's own manager
 * does as soon as its table has more than one row: it hashes the encoding.
 *
 * @param this			receives the identities; they must outlive it
 */
void ivo_peers_init(ivo_peers_buffer_t *this, identification_t *me,
					identification_t *other);

#endif /** IVO_IDENTITY_H_ @}*/
