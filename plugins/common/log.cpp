// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace ivo {

void log(const ivo_host_t& host, const char* name, int level, const char* format, ...) {
    std::array<char, 512> text;
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text.data(), text.size(), format, arguments);
    va_end(arguments);
    host.log(&host, name, level, text.data());
}

}  // namespace ivo
