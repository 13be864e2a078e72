# SPDX-License-Identifier: GPL-2.0-or-later

# IVO_STRONGSWAN
# Find strongSwan's headers and installed libraries, and refuse a pair that does not belong together:
# a plugin that is built with the headers of another version loads and then calls the wrong methods.
AC_DEFUN([IVO_STRONGSWAN], [
strongswan_libdir=$with_strongswan_libdir
AC_SUBST([strongswan_libdir])
AC_SUBST([plugindir], [$with_plugindir])
AC_SUBST([strongswan_confdir], [$with_strongswan_confdir])

AS_IF([test -z "$with_strongswan_src"],
	[AC_MSG_ERROR([strongSwan's source is needed for its headers: run scripts/fetch-strongswan and give the folder that it prints as --with-strongswan-src=DIR])])
with_strongswan_src=`cd "$with_strongswan_src" 2>/dev/null && pwd`
AS_IF([test ! -f "$with_strongswan_src/src/libcharon/daemon.h"],
	[AC_MSG_ERROR([--with-strongswan-src: no strongSwan source there (src/libcharon/daemon.h is missing)])])

AC_MSG_CHECKING([version of the strongSwan headers])
# the line with the name and version in brackets; split at these, the version is the fourth field
STRONGSWAN_VERSION=`tr '@<:@@:>@' '||' <"$with_strongswan_src/configure.ac" | awk -F '|' '/INIT.*strongSwan/ { print $[]4; exit }'`
AS_IF([test -z "$STRONGSWAN_VERSION"], [AC_MSG_ERROR([not found in $with_strongswan_src/configure.ac])])
AC_MSG_RESULT([$STRONGSWAN_VERSION])
AC_SUBST([STRONGSWAN_VERSION])

AS_IF([test "x$enable_strongswan_me" = xno], [DEFINE_ME='#undef'], [DEFINE_ME='#define'])
AC_SUBST([DEFINE_ME])

AS_IF([test "x$enable_strongswan_check" != xno], [
	AC_MSG_CHECKING([version of the installed strongSwan])
	# swanctl comes from the same source and prints it; dpkg knows it where swanctl is not installed
	installed=`swanctl --version 2>/dev/null | sed -n 's/^strongSwan \([[0-9A-Za-z.]]*\) swanctl.*/\1/p'`
	AS_IF([test -z "$installed"],
		[installed=`dpkg-query -W -f '${Version}' libstrongswan 2>/dev/null | sed 's/-.*//'`])
	AS_IF([test -z "$installed"],
		[AC_MSG_ERROR([not found: install strongswan-swanctl, or say --disable-strongswan-check to build for another machine])])
	AC_MSG_RESULT([$installed])
	AS_IF([test "$installed" != "$STRONGSWAN_VERSION"],
		[AC_MSG_ERROR([the headers are strongSwan $STRONGSWAN_VERSION, but $installed is installed: get its source (scripts/fetch-strongswan $installed) and give that as --with-strongswan-src])])
	AS_IF([test ! -e "$strongswan_libdir/libcharon.so.0"],
		[AC_MSG_ERROR([$strongswan_libdir/libcharon.so.0 is missing: install libcharon, or say --with-strongswan-libdir=DIR])])

	AC_MSG_CHECKING([whether the installed libcharon has mediation (ME)])
	AS_IF([LC_ALL=C nm -D --defined-only "$strongswan_libdir/libcharon.so.0" 2>/dev/null | grep -q ' ike_me_create$'],
		[has_me=yes], [has_me=no])
	AC_MSG_RESULT([$has_me])
	AS_IF([test "$has_me" != "$enable_strongswan_me"],
		[AC_MSG_ERROR([the installed libcharon has mediation: $has_me, but the build is for: $enable_strongswan_me; say --enable-strongswan-me=$has_me])])
])

STRONGSWAN_CPPFLAGS="-include shim/strongswan_config.h -isystem $with_strongswan_src/src/libstrongswan -isystem $with_strongswan_src/src/libcharon"
STRONGSWAN_LIBS="-L$strongswan_libdir -lcharon -lstrongswan"
AC_SUBST([STRONGSWAN_SRC], [$with_strongswan_src])
AC_SUBST([STRONGSWAN_CPPFLAGS])
AC_SUBST([STRONGSWAN_LIBS])
])
