/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* described in header */
void trace_clear(trace_t *this)
{
	this->len = 0;
	this->overflow = false;
	this->text[0] = '\0';
}

/* described in header */
void trace_line(trace_t *this, const char *fmt, ...)
{
	size_t room = TRACE_SIZE - this->len - 2;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(this->text + this->len, room, fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= room)
	{
		this->text[this->len] = '\0';
		this->overflow = true;
		return;
	}
	this->text[this->len + len] = '\n';
	this->text[this->len + len + 1] = '\0';
	this->len += len + 1;
}

/**
 * Length of the line at an offset, without its newline.
 */
static size_t line_length(const trace_t *this, size_t offset)
{
	const char *end;

	if (offset >= this->len)
	{
		return 0;
	}
	end = memchr(this->text + offset, '\n', this->len - offset);
	return end ? (size_t)(end - (this->text + offset)) : this->len - offset;
}

/* described in header */
long trace_difference(const trace_t *a, const trace_t *b, bool partial)
{
	size_t common, i, line = 0;

	common = a->len < b->len ? a->len : b->len;
	if (memcmp(a->text, b->text, common) == 0)
	{
		if (a->len == b->len || (partial && b->len < a->len))
		{
			return -1;
		}
		return common;
	}
	for (i = 0; a->text[i] == b->text[i]; i++)
	{
		if (a->text[i] == '\n')
		{
			line = i + 1;
		}
	}
	return line;
}

/**
 * Print the line at an offset, or that there is none.
 */
static void print_line(const trace_t *this, const char *name, size_t offset)
{
	if (offset >= this->len)
	{
		printf("  %-12s (nothing more: it ended or hung here)\n", name);
		return;
	}
	printf("  %-12s %.*s\n", name, (int)line_length(this, offset), this->text + offset);
}

/* described in header */
void trace_print_difference(const trace_t *a, const char *a_name, const trace_t *b, const char *b_name, int context)
{
	long differs = trace_difference(a, b, false);
	size_t start, offset;
	int lines = 0;

	if (differs < 0)
	{
		return;
	}
	start = differs;
	while (start && lines < context)
	{
		start--;
		while (start && a->text[start - 1] != '\n')
		{
			start--;
		}
		lines++;
	}
	if (start)
	{
		printf("  (…)\n");
	}
	for (offset = start; offset < (size_t)differs; offset += line_length(a, offset) + 1)
	{
		printf("  %.*s\n", (int)line_length(a, offset), a->text + offset);
	}
	printf("first difference:\n");
	print_line(a, a_name, differs);
	print_line(b, b_name, differs);
}
