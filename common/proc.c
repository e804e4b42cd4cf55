/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a program to its end. The caller has threads: between fork and exec the
 * child does system calls only. */
#define _GNU_SOURCE
#include "common/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/timefmt.h"

#define OUTPUT_MAX (1024 * 1024)
#define ERRORS_KEPT 2048 /* of the end of standard error */
#define POLL_MSEC 100
#define KILL_AFTER_USEC (10 * INT64_C(1000000)) /* SIGTERM was not heard */

/* One pipe from the child. keep_end: what is too much is dropped at the start. */
struct stream {
	int fd;
	char *text;
	size_t len, max;
	int keep_end;
};

/* A running program. */
struct child {
	pid_t pid;
	int pidfd; /* -1: the kernel has none, look at it every POLL_MSEC */
	int exited, status;
	int64_t term_usec; /* when it was asked to end, 0 not yet */
	struct stream out, errors;
};

/* All that the child needs, made before the fork: it may not allocate. */
struct plan {
	const char *program; /* path */
	const char *const *argv;
	const char *cwd;
	int null_fd, out_fd, err_fd, report_fd;
	long fd_limit;
	pid_t parent;
};

static void plan_done(struct plan *p)
{
	cleanup_close(&p->null_fd);
	cleanup_close(&p->out_fd);
	cleanup_close(&p->err_fd);
	cleanup_close(&p->report_fd);
}

/* The pipes close; a child that is still there (an error on our side) is ended
 * and reaped: nobody else may be left with it. */
static void child_done(struct child *c)
{
	if (c->pid > 0 && !c->exited) {
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
			;
	}
	cleanup_close(&c->pidfd);
	cleanup_close(&c->out.fd);
	cleanup_close(&c->errors.fd);
	free(c->out.text);
	free(c->errors.text);
}

/* Path of the program: as given if it has a slash, else by PATH. *owned*, or NULL. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
	if (!path || !*path)
		path = "/usr/sbin:/usr/bin:/sbin:/bin";
	while (*path) {
		size_t len = strcspn(path, ":");
		_cleanup_free_ char *file = xasprintf("%.*s/%s", (int)len, path, name);
		struct stat st;

		if (len > 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
			return TAKE_PTR(file);
		path += len + (path[len] == ':');
	}
	return NULL;
}

/* In the child: tells the parent why there will be no exec, and ends. */
static _Noreturn void child_fail(int report_fd)
{
	int code = errno;

	ignore_result((int)write(report_fd, &code, sizeof(code))); /* the exit status speaks too */
	_exit(127);
}

/* In the child: nothing above 3 stays open, 3 closes itself at exec. */
static void child_close_others(long fd_limit)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 4U, ~0U, 0U) == 0)
		return;
#endif
	for (int fd = 4; fd < fd_limit; fd++)
		close(fd);
}

/* In the child: descriptors 0-2 and 3 (the report). The sources are all above 3,
 * as child_fds_above_three() has seen to. */
static void child_fds(const struct plan *p)
{
	if (dup2(p->null_fd, 0) < 0 || dup2(p->out_fd, 1) < 0 || dup2(p->err_fd, 2) < 0)
		child_fail(p->report_fd);
	if (dup3(p->report_fd, 3, O_CLOEXEC) < 0)
		child_fail(p->report_fd);
	child_close_others(p->fd_limit);
}

/* In the child, to the end: only async-signal-safe calls. Signals are blocked
 * until no handler of the parent is left. */
static _Noreturn void child_main(const struct plan *p)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	/* The program is part of the operation: it must not work on after a killed
	 * daemon, while a new one recovers. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != p->parent)
		_exit(127);
	child_fds(p);
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	umask(077);
	if (p->cwd && chdir(p->cwd) < 0)
		child_fail(3);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(p->program, (char *const *)p->argv, environ);
	child_fail(3);
}

/* Moves fd above 3, so that placing 0-3 in the child overwrites no source. */
static int raise_fd(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, 4);

	if (high < 0)
		return -errno;
	cleanup_close(fd);
	*fd = high;
	return 0;
}

/* A pipe: our end non-blocking, the child's above 3. */
static int make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ret_read = fds[0];
	*ret_write = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return raise_fd(ret_write);
}

/* Opens what parent and child share. ret_report: read end of the exec report. */
static int prepare(struct plan *p, struct child *c, int *ret_report)
{
	struct rlimit limit;
	int r;

	p->fd_limit = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (long)limit.rlim_cur : 65536;
	p->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (p->null_fd < 0)
		return -errno;
	r = raise_fd(&p->null_fd);
	if (r == 0)
		r = make_pipe(&c->out.fd, &p->out_fd);
	if (r == 0)
		r = make_pipe(&c->errors.fd, &p->err_fd);
	if (r == 0)
		r = make_pipe(ret_report, &p->report_fd);
	return r;
}

/* Forks with all signals blocked: the parent's handlers may not run in the child. */
static int fork_child(struct plan *p, struct child *c)
{
	sigset_t all, old;
	int code;

	p->parent = getpid();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	c->pid = fork();
	if (c->pid == 0)
		child_main(p);
	code = -errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return c->pid < 0 ? code : 0;
}

/* Waits for the exec: 0 if the program runs, else why not. The report closes at
 * exec or at the child's end, so this cannot wait for long. */
static int read_report(int report_fd)
{
	struct pollfd pfd = { .fd = report_fd, .events = POLLIN };
	int code = 0;
	ssize_t n;

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	n = read(report_fd, &code, sizeof(code));
	return n == (ssize_t)sizeof(code) ? -code : 0;
}

static int start(const struct proc_opts *opts, struct child *c, struct err *reterr)
{
	_cleanup_(plan_done) struct plan plan = { .null_fd = -1, .out_fd = -1, .err_fd = -1, .report_fd = -1 };
	_cleanup_free_ char *program = find_program(opts->argv[0]);
	_cleanup_close_ int report = -1;
	int r;

	if (!program) {
		r = err_set(reterr, ERR_FAILED, -ENOENT, "cannot run %s: no such program", opts->argv[0]);
		err_hint(reterr, "Install the package that holds %s", opts->argv[0]);
		return r;
	}
	plan.program = program;
	plan.argv = opts->argv;
	plan.cwd = opts->cwd;
	r = prepare(&plan, c, &report);
	if (r == 0)
		r = fork_child(&plan, c);
	if (r < 0)
		return err_errno(reterr, r, "cannot start %s", program);
	plan_done(&plan); /* our copies, or the pipes would never end */
	r = read_report(report);
	if (r < 0)
		return err_errno(reterr, r, "cannot run %s%s%s", program, opts->cwd ? " in " : "",
				 opts->cwd ? opts->cwd : "");
#ifdef SYS_pidfd_open
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0U);
#endif
	return 0;
}

/* Keeps n bytes of buf, at most max in all. */
static void stream_keep(struct stream *s, const char *buf, size_t n)
{
	if (s->len + n > s->max && s->keep_end) {
		size_t drop = s->len + n - s->max;

		if (drop > s->len) {
			buf += drop - s->len;
			n -= drop - s->len;
			drop = s->len;
		}
		memmove(s->text, s->text + drop, s->len - drop);
		s->len -= drop;
	}
	if (n > s->max - s->len)
		n = s->max - s->len;
	if (n > 0)
		memcpy(s->text + s->len, buf, n);
	s->len += n;
	s->text[s->len] = '\0';
}

/* Reads what is there, but not for ever from a program that never stops to
 * write; closes at the end. NUL bytes are shown as "?". */
static void stream_read(struct stream *s)
{
	char buf[16384];
	ssize_t n;

	for (int i = 0; s->fd >= 0 && i < OUTPUT_MAX / (int)sizeof(buf); i++) {
		n = read(s->fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			cleanup_close(&s->fd);
			return;
		}
		for (char *nul = buf; (nul = memchr(nul, '\0', (size_t)(buf + n - nul))) != NULL;)
			*nul = '?';
		stream_keep(s, buf, (size_t)n);
	}
}

static int reap(struct child *c)
{
	pid_t pid = waitpid(c->pid, &c->status, WNOHANG);

	if (pid < 0 && errno != EINTR) {
		c->exited = 1; /* somebody else reaped it, or SIGCHLD is ignored */
		return -errno;
	}
	if (pid == c->pid)
		c->exited = 1;
	return 0;
}

/* Asks the program to end, once; insists after a while. */
static void end_child(struct child *c)
{
	int64_t now = time_mono_usec();

	if (c->term_usec == 0) {
		c->term_usec = now;
		kill(c->pid, SIGTERM);
	} else if (now - c->term_usec > KILL_AFTER_USEC) {
		kill(c->pid, SIGKILL);
	}
}

/* Reads and waits until the program has exited. Its own children may keep the
 * pipes open: they are not waited for. */
static int supervise(const struct proc_opts *opts, struct child *c)
{
	int64_t polled = time_mono_usec();
	int r;

	for (;;) {
		struct pollfd pfd[] = {
			{ .fd = c->out.fd, .events = POLLIN },
			{ .fd = c->errors.fd, .events = POLLIN },
			{ .fd = c->pidfd, .events = POLLIN },
		};

		ignore_result(poll(pfd, ARRAY_SIZE(pfd), POLL_MSEC)); /* all is looked at in any case */
		r = reap(c); /* first: what it wrote is then in the pipes */
		stream_read(&c->out);
		stream_read(&c->errors);
		if (r < 0 || c->exited)
			return r;
		if (time_mono_usec() - polled < POLL_MSEC * 1000)
			continue;
		polled = time_mono_usec();
		if (c->term_usec || (opts->poll && opts->poll(opts->poll_arg, c->out.text) != 0))
			end_child(c);
	}
}

/* The end of standard error as part of a sentence: lines become "; ". *owned* */
static char *last_words(const struct stream *s)
{
	_cleanup_strv_ char **lines = NULL;
	_cleanup_free_ char *copy = xstrdup(s->text);
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\r\n")) != NULL)
		if (*line)
			strv_push(&lines, xstrdup(line));
	return strv_join(lines, "; ");
}

static int judge(const char *name, const struct child *c, int *ret_status, struct err *reterr)
{
	_cleanup_free_ char *words = last_words(&c->errors);
	const char *colon = *words ? ": " : "";

	if (c->term_usec)
		return err_set(reterr, ERR_CANCELLED, -ECANCELED, "%s was cancelled", name);
	if (WIFSIGNALED(c->status))
		return err_set(reterr, ERR_FAILED, -EIO, "%s was killed by signal %d%s%s", name, WTERMSIG(c->status),
			       colon, words);
	if (ret_status)
		*ret_status = WEXITSTATUS(c->status);
	else if (WEXITSTATUS(c->status) != 0)
		return err_set(reterr, ERR_FAILED, -EIO, "%s failed with exit status %d%s%s", name,
			       WEXITSTATUS(c->status), colon, words);
	return 0;
}

int proc_run(const struct proc_opts *opts, char **ret_output, struct err *reterr)
{
	_cleanup_(child_done) struct child c = {
		.pidfd = -1,
		.out = { .fd = -1, .max = OUTPUT_MAX, .text = xcalloc(1, OUTPUT_MAX + 1) },
		.errors = { .fd = -1, .max = ERRORS_KEPT, .text = xcalloc(1, ERRORS_KEPT + 1), .keep_end = 1 },
	};
	int r;

	r = start(opts, &c, reterr);
	if (r < 0)
		return r;
	r = supervise(opts, &c);
	if (r < 0)
		return err_errno(reterr, r, "cannot wait for %s", opts->argv[0]);
	r = judge(opts->argv[0], &c, opts->ret_status, reterr);
	if (r < 0)
		return r;
	if (ret_output)
		*ret_output = xreallocarray(TAKE_PTR(c.out.text), c.out.len + 1, 1);
	return 0;
}
