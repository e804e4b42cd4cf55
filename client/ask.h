/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions on the terminal. */
#ifndef CLIENT_ASK_H
#define CLIENT_ASK_H

#include "client/connection.h"

/* 1 if somebody can be asked: input and messages are a terminal, and not --json. */
int can_ask(const struct ctl *ctl);

/* Prints question (*borrowed*) and reads one line. Returns the first letter in
 * lower case, fallback for an empty line, 0 at the end of input. */
int ask(const char *question, char fallback);

#endif
