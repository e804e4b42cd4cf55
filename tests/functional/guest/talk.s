# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest in one boot sector, for measuring: it writes a dot to the serial line at
# each interrupt of a 2 kHz timer and sleeps in between, so that whoever listens
# sees to half a millisecond how long the guest stood still, for whatever reason.
#
# Build: as --32 --defsym TOUCH=0 (see build.py)
#   TOUCH  MiB of RAM above 1 MiB to fill first, one word in each page

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

	# "Unreal" mode, as in tick.s, so that %edi reaches all of RAM
	lgdt gdtr
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	mov $8, %bx
	mov %bx, %ds
	and $0xfe, %al
	mov %eax, %cr0
	xor %eax, %eax
	mov %ax, %ds
	mov $0x100000, %edi
	mov $(TOUCH * 256), %ecx
1:	test %ecx, %ecx
	jz 2f
	mov %edi, %ds:(%edi)
	add $4096, %edi
	dec %ecx
	jmp 1b
2:	xor %eax, %eax
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

	.balign 4
gdt:
	.quad 0
	.quad 0x00cf92000000ffff	# flat, writable
gdtr:
	.word 15
	.long gdt

	.org 510
	.word 0xaa55
