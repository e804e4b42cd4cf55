# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest in one boot sector, for measuring: it writes a dot to the serial line at
# each interrupt of a 2 kHz timer and sleeps in between, so that whoever listens
# sees to half a millisecond how long the guest stood still, for whatever reason.
#
# Build: as --32; see build.py

.code16

.set RATE, 1193182 / 2000	# reload value of the timer (PIT channel 0)
.set COM1, 0x3f8
.set TIMER_VECTOR, 8 * 4

	.globl _start
_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x7000, %sp
	movw $on_timer, TIMER_VECTOR
	movw %ax, TIMER_VECTOR + 2
	mov $0x34, %al		# channel 0, low then high byte, rate generator
	out %al, $0x43
	mov $(RATE & 0xff), %al
	out %al, $0x40
	mov $(RATE >> 8), %al
	out %al, $0x40
	sti
1:	hlt
	mov $'.', %al
	mov $COM1, %dx
	out %al, %dx
	jmp 1b

on_timer:
	push %ax
	mov $0x20, %al		# end of interrupt
	out %al, $0x20
	pop %ax
	iret

	.org 510
	.word 0xaa55
