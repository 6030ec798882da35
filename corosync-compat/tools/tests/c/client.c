/*
 * A client of Corosync's own libraries for the tests: a member of a process
 * group with an odd name, who objects to shutdowns, and, if there is an
 * argument, a quorum device of that name. It says "ready" and lives until its
 * standard input ends.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <corosync/cfg.h>
#include <corosync/corotypes.h>
#include <corosync/cpg.h>
#include <corosync/votequorum.h>

#define MUST(call) do { int rc = (call); if (rc != CS_OK) { printf("%s: %d\n", #call, rc); return 1; } } while (0)

static void object(corosync_cfg_handle_t cfg, corosync_cfg_shutdown_flags_t flags)
{
	(void)flags;
	corosync_cfg_replyto_shutdown(cfg, COROSYNC_CFG_SHUTDOWN_FLAG_NO);
}

int main(int argc, char **argv)
{
	corosync_cfg_callbacks_t callbacks = { object };
	corosync_cfg_handle_t cfg;
	cpg_handle_t cpg;
	votequorum_handle_t votes;
	votequorum_callbacks_t none;
	struct cpg_name names[] = { { 9, "odd\\\001\377 \177x" }, { 6, "plain" } };
	struct pollfd fds[2];
	cpg_handle_t second;

	memset(&none, 0, sizeof(none));
	MUST(cpg_initialize(&cpg, NULL));
	MUST(cpg_join(cpg, &names[0]));
	MUST(cpg_initialize(&second, NULL));
	MUST(cpg_join(second, &names[1]));
	MUST(corosync_cfg_initialize(&cfg, &callbacks));
	MUST(corosync_cfg_trackstart(cfg, 0));
	if (argc > 1) {
		MUST(votequorum_initialize(&votes, &none));
		MUST(votequorum_qdevice_register(votes, argv[1]));
	}
	puts("ready");
	fflush(stdout);
	fds[0].fd = 0;
	MUST(corosync_cfg_fd_get(cfg, &fds[1].fd));
	fds[0].events = fds[1].events = POLLIN;
	while (poll(fds, 2, -1) > 0 && !fds[0].revents && !(fds[1].revents & POLLHUP))
		corosync_cfg_dispatch(cfg, CS_DISPATCH_ALL);
	return 0;
}
