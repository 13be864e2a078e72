/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_identity.h"

#include <library.h>

/**
 * Does charon compare identities of this type regardless of case? It does not
 * if there is a NUL in one.
 */
static bool ignores_case(identification_t *id, chunk_t encoding)
{
	switch (id->get_type(id))
	{
		case ID_FQDN:
		case ID_RFC822_ADDR:
			return encoding.len && !memchr(encoding.ptr, 0, encoding.len);
		default:
			return FALSE;
	}
}

/**
 * Fill in one identity
 */
static void fill(ivo_identity_t *this, identification_t *id,
				 uint8_t buffer[IVO_IDENTITY_BUFFER])
{
	chunk_t encoding = id->get_encoding(id);
	size_t i;

	this->type = (uint32_t)id->get_type(id);
	this->bytes = encoding.ptr;
	this->length = encoding.len;
	/* no host or mail name is longer, RFC 1035 and RFC 5321 */
	if (ignores_case(id, encoding) && encoding.len <= IVO_IDENTITY_BUFFER)
	{
		for (i = 0; i < encoding.len; i++)
		{
			uint8_t c = encoding.ptr[i];

			buffer[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
		}
		this->bytes = buffer;
	}
}

/*
 * Described in header.
 */
void ivo_peers_init(ivo_peers_buffer_t *this, identification_t *me,
					identification_t *other)
{
	fill(&this->peers.me, me, this->buffer[0]);
	fill(&this->peers.other, other, this->buffer[1]);
}
