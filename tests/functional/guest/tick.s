# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest in one boot sector, for tests: it makes visible on the serial line what
# is in its memory and what is on its disks, so that a test can tell of which
# instant each of them is.
#
# At boot it reads the number in LBA 1 of each disk, prints "BOOT D=.. E=.." and
# goes on counting from D. Then, at each tick of the BIOS clock (18.2 a second):
#
#   1. read the number in LBA 1 of each disk
#   2. print "T=<number in RAM> D=<disk 0x80> [E=<disk 0x81>] =", or "!" in place
#      of "=" where the disks do not say what RAM says they must
#   3. add one to the number in RAM, write it to LBA 1 of the first, then of the
#      second disk
#
# All numbers are eight hexadecimal digits. Memory restored over disks of another
# instant gives a "!" in the very first line; a reboot gives a BOOT line. A failed
# disk access prints "?" where it happens.
#
# Build: as --32 --defsym TOUCH=0 --defsym BUSY=0 --defsym WATCH=0 (see build.py)
#   TOUCH  MiB of RAM above 1 MiB to fill, one word in each page, at boot
#   BUSY   1: at each tick see that all those pages hold what was written to them last
#          ("!" for ever after if one does not), and write them again
#   WATCH  read LBA 9, 17, ... below WATCH * 8 of the first disk at boot and print "S=<sum>"
#          of their first words (rotated left by one before each is added); read them again
#          at each tick: "!" if the sum is another one
#
# Facts it stands on: SeaBIOS offers int 13h extensions on virtio and IDE disks;
# disk 0x81 only exists for the BIOS if the domain gives both disks a <boot order>;
# byte 0x475 holds the number of hard disks, dword 0x46c the clock; A20 is open.

.code16

.set SECTOR, 0x8000		# where LBA 1 is read to and written from
.set CLOCK, 0x46c		# BIOS data area: ticks since midnight
.set DRIVES, 0x475		# BIOS data area: number of hard disks
.set COM1, 0x3f8
.set READ, 0x42			# int 13h extensions
.set WRITE, 0x43
.set FIRST, 0x80		# BIOS numbers of the disks
.set SECOND, 0x81

	.globl _start
_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x7000, %sp

	# "Unreal" mode: visit protected mode just to load %ds with a 4 GiB limit,
	# which stays when we come back, so that %edi reaches all of RAM.
	lgdt gdtr
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	mov $8, %bx
	mov %bx, %ds
	and $0xfe, %al
	mov %eax, %cr0
	xor %ax, %ax
	mov %ax, %ds
	sti

	call touch
.if BUSY
	movb $'=', pages	# there was nothing to be seen yet
.endif
	mov $boot_text, %si
	call puts
	call show_disks
	mov $'\n', %al
	call putc
	mov first_number, %eax
	mov %eax, number
.if WATCH
	call add_up
	mov sum, %ebx
	mov %ebx, first_sum
	mov $'S', %al
	call putc
	mov $'=', %al
	call putc
	call put_hex
	mov $'\n', %al
	call putc
.endif

next_tick:
	hlt
	mov CLOCK, %eax
	cmp %eax, last_clock
	je next_tick
	mov %eax, last_clock

.if BUSY
	call touch
.endif
	mov $number_text, %si
	call puts
	mov number, %ebx
	call put_hex
	mov $' ', %al
	call putc
.if BUSY
	mov pages, %al
	mov %al, verdict
.else
	movb $'=', verdict
.endif
	call show_disks
.if WATCH
	call add_up
	mov sum, %eax
	cmp %eax, first_sum
	je 1f
	movb $'!', verdict
1:
.endif
	mov verdict, %al
	call putc
	mov $'\n', %al
	call putc

	incl number
	mov number, %eax
	mov %eax, SECTOR
	mov $WRITE, %ah
	mov $FIRST, %dl
	call disk
	cmpb $2, DRIVES
	jb next_tick
	mov $WRITE, %ah
	mov $SECOND, %dl
	call disk
	jmp next_tick

# Reads and prints the number of each disk; sets verdict where one is not `number`.
show_disks:
	mov $FIRST, %dl
	mov $'D', %al
	call show_disk
	mov %ebx, first_number
	cmpb $2, DRIVES
	jb 1f
	mov $SECOND, %dl
	mov $'E', %al
	call show_disk
1:	ret

# The same for disk %dl under the letter %al; the number is left in %ebx.
show_disk:
	call putc
	mov $'=', %al
	call putc
	mov $READ, %ah
	call disk
	mov SECTOR, %ebx
	cmp number, %ebx
	je 1f
	movb $'!', verdict
1:	call put_hex		# rotates %ebx by 32 bits: unchanged afterwards
	mov $' ', %al
	jmp putc

# int 13h extension %ah on disk %dl: LBA 1 <-> SECTOR.
disk:
	xor %al, %al
	mov $packet, %si
	int $0x13
	jnc 1f
	mov $'?', %al
	call putc
1:	ret

.if WATCH
# The sum of what is read from the first disk.
add_up:
	movl $0, sum
1:	addw $8, lba
	mov $FIRST, %dl
	mov $READ, %ah
	call disk
	mov SECTOR, %eax
	roll $1, sum
	add %eax, sum
	cmpw $(WATCH * 8 - 8 + 1), lba
	jb 1b
	movw $1, lba
	ret
.endif

# Writes one word into each page of TOUCH MiB from 1 MiB up, other words each time.
touch:
	mov $0x100000, %edi
	mov $(TOUCH * 256), %ecx
1:	test %ecx, %ecx
	jz 2f
.if BUSY
	mov touched, %eax
	add %edi, %eax
	cmp %eax, %ds:(%edi)
	je 3f
	movb $'!', pages
3:
.endif
	mov number, %eax
	add %edi, %eax
	mov %eax, %ds:(%edi)
	add $4096, %edi
	dec %ecx
	jmp 1b
2:
.if BUSY
	mov number, %eax
	mov %eax, touched
.endif
	ret

# Prints %ebx as eight hexadecimal digits.
put_hex:
	mov $8, %cx
1:	rol $4, %ebx
	mov %bl, %al
	and $15, %al
	cmp $10, %al
	sbb $0x69, %al		# the classic: 0..15 -> '0'..'9', 'A'..'F'
	das
	call putc
	loop 1b
	ret

# Prints the string at %si, which ends with a zero byte.
puts:
	lodsb
	test %al, %al
	jz 1f
	call putc
	jmp puts
1:	ret

# Prints %al; waits until the port takes it.
putc:
	push %dx
	push %ax
	mov $(COM1 + 5), %dx
1:	in %dx, %al
	test $0x20, %al
	jz 1b
	pop %ax
	mov $COM1, %dx
	out %al, %dx
	pop %dx
	ret

	.balign 4
gdt:
	.quad 0
	.quad 0x00cf92000000ffff	# flat, writable
gdtr:
	.word 15
	.long gdt
packet:				# int 13h extensions: one sector, SECTOR, LBA 1
	.byte 16, 0
	.word 1
	.word SECTOR, 0
lba:
	.quad 1
number:
	.long 0
first_number:
	.long 0
last_clock:
	.long 0
verdict:
	.byte 0
.if WATCH
sum:
	.long 0
first_sum:
	.long 0
.endif
.if BUSY
pages:				# '=' or '!'
	.byte 0
touched:			# the number that was written to the pages last
	.long 0
.endif
boot_text:
	.asciz "BOOT "
number_text:
	.asciz "T="

	.org 510
	.word 0xaa55
