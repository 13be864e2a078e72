/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file abi.h
 * What all headers of the C ABI between shim/ (C, sees strongSwan) and plugins/ (C++20, does not) share.
 *
 * These headers are plain C11 and are also compiled as C++. They name no strongSwan type and no C++ type.
 * No C++ exception leaves a function declared here.
 */
#ifndef IVO_ABI_H_
#define IVO_ABI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Version of every structure and function below include/ivo/.
 *
 * The three plugins may be built and installed apart. A table that one hands to another carries this number first;
 * the receiver leaves a table with another number alone. Raise it on any change that an older reader would misread.
 */
#define IVO_ABI_VERSION 1

#ifdef __cplusplus
#define IVO_BEGIN_DECLS extern "C" {
#define IVO_END_DECLS }
#else
#define IVO_BEGIN_DECLS
#define IVO_END_DECLS
#endif

#endif /* IVO_ABI_H_ */
