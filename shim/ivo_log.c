/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "ivo_log.h"

#include <stdarg.h>
#include <stdio.h>

#include <utils/debug.h>

/*
 * Described in header.
 */
void ivo_log(const char *plugin, const char *name, int level,
			 const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* dbg is a function pointer that both libstrongswan and charon's bus may
	 * stand behind; it needs no other strongSwan object, so that it may be
	 * used before the ABI guard has looked at any */
	dbg(DBG_CFG, (level_t)level, "%s: [%s] %s", plugin, name, text);
}
