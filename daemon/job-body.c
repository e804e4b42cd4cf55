/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a job's body says of itself while it runs, and views of it. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/job-priv.h"

void job_phase(struct job *job, const char *phase)
{
	pthread_mutex_lock(&job->jobs->lock);
	xstrset(&job->v.phase, phase);
	job->v.bytes_done = job->v.bytes_total = -1;
	job->v.version++;
	pthread_mutex_unlock(&job->jobs->lock);
}

void job_progress(struct job *job, int64_t done, int64_t total)
{
	pthread_mutex_lock(&job->jobs->lock);
	if (job->v.bytes_done != done || job->v.bytes_total != total)
		job->v.version++;
	job->v.bytes_done = done;
	job->v.bytes_total = total;
	pthread_mutex_unlock(&job->jobs->lock);
}

void job_warn(struct job *job, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	log_warning("%s of VM '%s': %s", job->v.operation, job->v.vm, text);
	pthread_mutex_lock(&job->jobs->lock);
	strv_push(&job->v.warnings, text);
	job->v.version++;
	pthread_mutex_unlock(&job->jobs->lock);
}

void job_set_result(struct job *job, const char *key, const struct guid *value)
{
	pthread_mutex_lock(&job->jobs->lock);
	job->result = xreallocarray(job->result, job->n_results + 1, sizeof(*job->result));
	job->result[job->n_results].key = xstrdup(key);
	job->result[job->n_results++].value = *value;
	pthread_mutex_unlock(&job->jobs->lock);
}

int job_get_result(struct job *job, const char *key, struct guid *ret_value)
{
	int r = -ENOENT;

	pthread_mutex_lock(&job->jobs->lock);
	for (size_t i = 0; i < job->n_results; i++) {
		if (strcmp(job->result[i].key, key) != 0)
			continue;
		*ret_value = job->result[i].value;
		r = 0;
	}
	pthread_mutex_unlock(&job->jobs->lock);
	return r;
}

int job_cancelled(struct job *job)
{
	int cancelled;

	pthread_mutex_lock(&job->jobs->lock);
	cancelled = job->cancelled;
	pthread_mutex_unlock(&job->jobs->lock);
	return cancelled;
}

int job_interrupted(struct job *job)
{
	int interrupted;

	pthread_mutex_lock(&job->jobs->lock);
	interrupted = job->cancelled || job->asked || job->pause;
	pthread_mutex_unlock(&job->jobs->lock);
	return interrupted;
}

int job_check(struct job *job, struct err *reterr)
{
	if (!job_cancelled(job))
		return 0;
	return err_set(reterr, ERR_CANCELLED, -ECANCELED, "%s of VM '%s' was cancelled; nothing was changed",
		       job->v.operation, job->v.vm);
}

const char *job_id(const struct job *job)
{
	return job->v.id;
}

static char **strv_copy(char *const *v)
{
	char **copy = NULL;

	for (size_t i = 0; v && v[i]; i++)
		strv_push(&copy, xstrdup(v[i]));
	return copy;
}

void job_look(struct job *job, struct job_view *ret_view)
{
	pthread_mutex_lock(&job->jobs->lock);
	*ret_view = job->v;
	ret_view->id = xstrdup(job->v.id);
	ret_view->operation = xstrdup(job->v.operation);
	ret_view->vm = xstrdup(job->v.vm);
	ret_view->phase = xstrdup(job->v.phase);
	ret_view->warnings = strv_copy(job->v.warnings);
	ret_view->err.message = xstrdup(job->v.err.message);
	ret_view->err.hint = xstrdup(job->v.err.hint);
	ret_view->err.vm = xstrdup(job->v.err.vm);
	ret_view->err.file = xstrdup(job->v.err.file);
	ret_view->err.job = xstrdup(job->v.err.job);
	pthread_mutex_unlock(&job->jobs->lock);
}

void job_view_done(struct job_view *view)
{
	cleanup_free(&view->id);
	cleanup_free(&view->operation);
	cleanup_free(&view->vm);
	cleanup_free(&view->phase);
	strv_free(view->warnings);
	view->warnings = NULL;
	err_done(&view->err);
}
