# SPDX-License-Identifier: GPL-2.0-or-later

# IVO_SANITIZER(name, argument of -fsanitize, what it is)
AC_DEFUN([IVO_SANITIZER], [
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [build with $3])], [], [enable_$1=no])
AS_IF([test "x$enable_$1" = xyes], [
	IVO_SANITIZERS="$IVO_SANITIZERS -fsanitize=$2"
])
AC_SUBST([IVO_SANITIZERS])
])

# IVO_COMPILER_FLAGS
# C11 and C++20 with the warnings that the project keeps clean, hardened as Debian hardens its packages.
AC_DEFUN([IVO_COMPILER_FLAGS], [
IVO_HARDENING="-fstack-protector-strong -Wformat -Werror=format-security"
# fortified functions hide accesses from the sanitizers
AS_IF([test -z "$IVO_SANITIZERS"],
	[IVO_HARDENING="$IVO_HARDENING -D_FORTIFY_SOURCE=2"],
	[IVO_SANITIZERS="$IVO_SANITIZERS -fno-omit-frame-pointer -fno-sanitize-recover=all"])
# strongSwan's METHOD() gives functions parameters that not each of them needs
IVO_CFLAGS="-std=gnu11 -Wall -Wextra -Wconversion -Wno-unused-parameter $IVO_HARDENING $IVO_SANITIZERS"
IVO_CXXFLAGS="-std=c++20 -Wall -Wextra -Wconversion $IVO_HARDENING $IVO_SANITIZERS"
IVO_LDFLAGS="-Wl,-z,relro -Wl,-z,now $IVO_SANITIZERS"
AC_SUBST([IVO_CFLAGS])
AC_SUBST([IVO_CXXFLAGS])
AC_SUBST([IVO_LDFLAGS])
])
