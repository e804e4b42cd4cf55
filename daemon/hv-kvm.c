/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs one HLT instruction in a KVM guest of one page, then QEMU for a moment. The
 * first happens in a child process, which can be given up: KVM_RUN has been seen
 * to hang. */
#define _GNU_SOURCE
#include "daemon/hv-kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/timefmt.h"

enum { DEADLINE_MS = 2000, QEMU_DEADLINE_MS = 10000, GUEST_PAGE = 4096, GUEST_START = 0x1000 };

#if defined(__x86_64__) || defined(__i386__)

/* Puts HLT at the start of the guest's only page. */
static int add_memory(int vm)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_START,
		.memory_size = GUEST_PAGE,
	};
	void *page = mmap(NULL, GUEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -1;
	memset(page, 0xf4, GUEST_PAGE);
	region.userspace_addr = (uintptr_t)page;
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Real mode, flat, at the first instruction. */
static int set_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = GUEST_START, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* The whole trial; 1 if the guest reached its HLT. Only system calls: it runs in
 * the child of a program with threads, whose end cleans up. */
static int run_guest(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm, vcpu, size;
	struct kvm_run *run;

	if (kvm < 0 || ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return 0;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || add_memory(vm) < 0)
		return 0;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < (int)sizeof(*run))
		return 0;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || set_registers(vcpu) < 0)
		return 0;
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return 0;
	return run->exit_reason == KVM_EXIT_HLT;
}

#else

/* Elsewhere we have no guest to run, so nothing is proved. */
static int run_guest(void)
{
	return 0;
}

#endif

/* Waits for the child's answer; 1 if it said yes in time. */
static int await_answer(int fd)
{
	int64_t until = time_mono_usec() / 1000 + DEADLINE_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char answer = 'n';

	for (;;) {
		int64_t left = until - time_mono_usec() / 1000;
		int n;

		if (left <= 0)
			return 0;
		n = poll(&p, 1, (int)left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || read(fd, &answer, 1) != 1)
			return 0;
		return answer == 'y';
	}
}

/* Ends the child and collects it, unless the kernel does not let go of it: then
 * it is left to init. */
static void collect(pid_t pid)
{
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	kill(pid, SIGKILL);
	for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		nanosleep(&pause, NULL);
}

/* Starts the trial in a child that answers 'y' or 'n' on the pipe; its pid. */
static pid_t start_trial(int *ret_fd)
{
	_cleanup_close_ int from = -1, to = -1;
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	from = p[0];
	to = p[1];
	pid = fork();
	if (pid == 0) {
		char answer = run_guest() ? 'y' : 'n';

		_exit(write(to, &answer, 1) == 1 ? 0 : 1);
	}
	if (pid > 0)
		*ret_fd = TAKE_FD(from);
	return pid;
}

static int try_kvm(void)
{
	_cleanup_close_ int fd = -1;
	pid_t pid;
	int works;

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return 0;
	pid = start_trial(&fd);
	if (pid < 0)
		return 0;
	works = await_answer(fd);
	collect(pid);
	return works;
}

static int past_deadline(void *arg, const char *output _unused_)
{
	return time_mono_usec() > *(int64_t *)arg;
}

/* QEMU sets more up than one instruction needs, and gives up where the host below
 * refuses it (seen: "failed to set MSR"): a machine is started and told to quit. */
static int try_qemu(void)
{
	static const char *const argv[] = {
		"sh", "-c",
		"printf '%s\\n' '{\"execute\":\"qmp_capabilities\"}' '{\"execute\":\"quit\"}' | "
		"qemu-system-x86_64 -accel kvm -cpu host -machine pc -nodefaults -no-user-config -display none -m 16 "
		"-qmp stdio",
		NULL,
	};
	int64_t until = time_mono_usec() + QEMU_DEADLINE_MS * 1000;
	struct proc_opts opts = { .argv = argv, .poll = past_deadline, .poll_arg = &until };

	return proc_run(&opts, NULL, NULL) == 0;
}

static int kvm_works;

static void try_once(void)
{
	kvm_works = try_kvm() && try_qemu();
	log_debug("a guest %s under KVM here", kvm_works ? "runs" : "does not run");
}

int hv_kvm_works(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, try_once);
	return kvm_works;
}
