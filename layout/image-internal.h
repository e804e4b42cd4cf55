/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about images share; private to layout/image*.c. */
#ifndef LAYOUT_IMAGE_INTERNAL_H
#define LAYOUT_IMAGE_INTERNAL_H

/* Hundredths of a percent in the last "(12.34/100%)" of qemu-img's output, or -1. */
int qemu_img_percent(const char *output);

#endif
