/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the last word of a command line may become, for the shell. */
#ifndef CLIENT_COMPLETE_H
#define CLIENT_COMPLETE_H

#include <stddef.h>

/* Prints the candidates for words[n-1], one per line: nouns, verbs, options,
 * and names of VMs, snapshots and jobs from the daemon. The line ":file" means
 * that a file name belongs there. Never fails: what cannot be told is not. */
void complete(char *const *words, size_t n);

#endif
