/* Talks to cpg, quorum, votequorum and cfg as their clients do and prints what
 * it is told. Process ids are printed as me, child or other, so that transcripts of two daemons
 * can be compared. */
#include <corosync/cfg.h>
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <corosync/votequorum.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;
static int events;

static const char *who(uint32_t pid)
{
	if (pid == (uint32_t)getpid())
		return "me";
	return pid == (uint32_t)child ? "child" : "other";
}

static void deliver(cpg_handle_t h, const struct cpg_name *g, uint32_t node, uint32_t pid, void *msg, size_t len)
{
	unsigned int sum = 0;
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + ((unsigned char *)msg)[i];
	printf("deliver %.*s from %u/%s: %zu bytes, sum %x\n", (int)g->length, g->value, node, who(pid), len, sum);
	events++;
}

static void list(const char *what, const struct cpg_address *a, size_t n)
{
	printf(" %s:", what);
	for (size_t i = 0; i < n; i++)
		printf(" %u/%s/%u", a[i].nodeid, who(a[i].pid), a[i].reason);
}

static void confchg(cpg_handle_t h, const struct cpg_name *g, const struct cpg_address *m, size_t mn,
		    const struct cpg_address *l, size_t ln, const struct cpg_address *j, size_t jn)
{
	printf("confchg %.*s", (int)g->length, g->value);
	list("members", m, mn);
	list("left", l, ln);
	list("joined", j, jn);
	printf("\n");
	events++;
}

static void totem(cpg_handle_t h, struct cpg_ring_id ring, uint32_t n, const uint32_t *m)
{
	printf("totem ring %u.%llu:", ring.nodeid, (unsigned long long)ring.seq);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", m[i]);
	printf("\n");
	events++;
}

static cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, totem, CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF };

static void wait_events(cpg_handle_t h, int wanted)
{
	int fd;
	events = 0;
	cpg_fd_get(h, &fd);
	while (events < wanted) {
		struct pollfd p = { fd, POLLIN, 0 };
		if (poll(&p, 1, 10000) <= 0) {
			printf("nothing more comes\n");
			exit(3);
		}
		cs_error_t rc = cpg_dispatch(h, CS_DISPATCH_ONE);
		if (rc != CS_OK) {
			printf("dispatch %d\n", rc);
			exit(3);
		}
	}
}

static void name(struct cpg_name *g, const char *text)
{
	memset(g, 0, sizeof(*g));
	g->length = strlen(text);
	memcpy(g->value, text, g->length);
}

static void send_bytes(cpg_handle_t h, size_t len)
{
	char *buf = malloc(len);
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(i * 7 + len);
	struct iovec iov = { buf, len };
	cs_error_t rc;
	while ((rc = cpg_mcast_joined(h, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN)
		usleep(1000);
	printf("mcast %zu: %d\n", len, rc);
	free(buf);
	if (rc == CS_OK)
		wait_events(h, 1);
}

static void child_joins(const struct cpg_name *g)
{
	cpg_handle_t h;
	if (cpg_model_initialize(&h, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL) == CS_OK)
		cpg_join(h, g);
	for (;;)
		pause();
}

static void cpg(void)
{
	cpg_handle_t h, h2;
	struct cpg_name g, other;
	unsigned int node = 0;
	struct cpg_address members[CPG_MEMBERS_MAX];
	int n = 0;
	cpg_iteration_handle_t it;
	struct cpg_iteration_description_t d;

	name(&g, "alpha");
	name(&other, "beta");
	printf("initialize %d\n", cpg_model_initialize(&h, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	printf("local_get %d", cpg_local_get(h, &node));
	printf(" %u\n", node);
	struct iovec none = { "x", 1 };
	printf("mcast before join %d\n", cpg_mcast_joined(h, CPG_TYPE_AGREED, &none, 1));
	printf("leave before join %d\n", cpg_leave(h, &g));
	printf("join %d\n", cpg_join(h, &g));
	wait_events(h, 2);
	printf("join again %d\n", cpg_join(h, &g));
	printf("join other %d\n", cpg_join(h, &other));
	printf("membership %d", cpg_membership_get(h, &g, members, &n));
	printf(" %d:", n);
	for (int i = 0; i < n; i++)
		printf(" %u/%s", members[i].nodeid, who(members[i].pid));
	printf("\n");
	size_t sizes[] = { 1, 2, 100, 4096, 65536, 300000, 900 * 1024 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		send_bytes(h, sizes[i]);
	send_bytes(h, 1200 * 1024);

	fflush(stdout);
	child = fork();
	if (child == 0) {
		freopen("/dev/null", "w", stdout);
		child_joins(&g);
	}
	wait_events(h, 1);
	cpg_model_initialize(&h2, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL);
	printf("second join by the same process %d\n", cpg_join(h2, &g));
	printf("join of beta %d\n", cpg_join(h2, &other));
	wait_events(h2, 2);
	for (int type = CPG_ITERATION_NAME_ONLY; type <= CPG_ITERATION_ALL; type++) {
		printf("iterate %d: %d", type, cpg_iteration_initialize(h, type, type == CPG_ITERATION_ONE_GROUP ? &g : NULL, &it));
		while (cpg_iteration_next(it, &d) == CS_OK)
			printf(" %.*s/%u/%s", (int)d.group.length, d.group.value, d.nodeid, d.pid ? who(d.pid) : "-");
		printf(" end %d, finalize %d\n", cpg_iteration_next(it, &d), cpg_iteration_finalize(it));
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	wait_events(h, 1);
	printf("leave %d\n", cpg_leave(h, &g));
	wait_events(h, 1);
	printf("finalize %d %d\n", cpg_finalize(h2), cpg_finalize(h));
}

static void quorum_v0(quorum_handle_t h, uint32_t quorate, uint64_t seq, uint32_t n, uint32_t *v)
{
	printf("quorum %u seq %llu:", quorate, (unsigned long long)seq);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", v[i]);
	printf("\n");
}

static void quorum_v1(quorum_handle_t h, uint32_t quorate, struct quorum_ring_id r, uint32_t n, const uint32_t *v)
{
	printf("quorum %u ring %u.%llu:", quorate, r.nodeid, (unsigned long long)r.seq);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", v[i]);
	printf("\n");
}

static void nodelist_v1(quorum_handle_t h, struct quorum_ring_id r, uint32_t mn, const uint32_t *m,
			uint32_t jn, const uint32_t *j, uint32_t ln, const uint32_t *l)
{
	printf("nodelist ring %u.%llu: %u members (%u), %u joined, %u left\n", r.nodeid,
	       (unsigned long long)r.seq, mn, mn ? m[0] : 0, jn, ln);
}

static void quorum(void)
{
	quorum_handle_t h;
	quorum_callbacks_t c0 = { quorum_v0 };
	quorum_model_v1_data_t c1 = { QUORUM_MODEL_V1, quorum_v1, nodelist_v1 };
	uint32_t type = 9;
	int quorate = 9;

	printf("quorum_initialize %d", quorum_initialize(&h, &c0, &type));
	printf(" type %u\n", type);
	printf("getquorate %d", quorum_getquorate(h, &quorate));
	printf(" %d\n", quorate);
	printf("trackstart %d\n", quorum_trackstart(h, CS_TRACK_CHANGES | CS_TRACK_CURRENT));
	quorum_dispatch(h, CS_DISPATCH_ALL);
	printf("trackstart again %d\n", quorum_trackstart(h, CS_TRACK_CHANGES));
	quorum_dispatch(h, CS_DISPATCH_ALL);
	printf("trackstop %d\n", quorum_trackstop(h));
	printf("trackstop again %d\n", quorum_trackstop(h));
	printf("finalize %d\n", quorum_finalize(h));
	printf("model_initialize %d", quorum_model_initialize(&h, QUORUM_MODEL_V1, (quorum_model_data_t *)&c1, &type, NULL));
	printf(" type %u\n", type);
	printf("trackstart %d\n", quorum_trackstart(h, CS_TRACK_CHANGES | CS_TRACK_CURRENT));
	quorum_dispatch(h, CS_DISPATCH_ALL);
	quorum_finalize(h);
}

static void votes_quorum(votequorum_handle_t h, uint64_t ctx, uint32_t quorate, uint32_t n, votequorum_node_t l[])
{
	printf("votes: quorate %u context %llu:", quorate, (unsigned long long)ctx);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u/%u", l[i].nodeid, l[i].state);
	printf("\n");
}

static void votes_nodes(votequorum_handle_t h, uint64_t ctx, votequorum_ring_id_t r, uint32_t n, uint32_t l[])
{
	printf("votes: nodes of %u.%llu context %llu:", r.nodeid, (unsigned long long)r.seq, (unsigned long long)ctx);
	for (uint32_t i = 0; i < n; i++)
		printf(" %u", l[i]);
	printf("\n");
	votequorum_context_set(h, NULL);
}

static votequorum_ring_id_t last_ring;
static void votes_nodes_keep(votequorum_handle_t h, uint64_t ctx, votequorum_ring_id_t r, uint32_t n, uint32_t l[])
{
	last_ring = r;
	votes_nodes(h, ctx, r, n, l);
}

static void votes_expected(votequorum_handle_t h, uint64_t ctx, uint32_t expected)
{
	printf("votes: expected %u context %llu\n", expected, (unsigned long long)ctx);
}

static void info(votequorum_handle_t h, unsigned int node)
{
	struct votequorum_info i;
	memset(&i, 0, sizeof(i));
	int rc = votequorum_getinfo(h, node, &i);
	printf("getinfo %u: %d", node, rc);
	if (rc == CS_OK)
		printf(" node %u state %u votes %u expected %u highest %u total %u quorum %u flags %x device %u '%s'",
		       i.node_id, i.node_state, i.node_votes, i.node_expected_votes, i.highest_expected, i.total_votes, i.quorum,
		       i.flags, i.qdevice_votes, i.qdevice_name);
	printf("\n");
}

static void votequorum(void)
{
	votequorum_handle_t h;
	votequorum_callbacks_t c = { votes_quorum, votes_expected, votes_nodes_keep };

	printf("votequorum_initialize %d\n", votequorum_initialize(&h, &c));
	info(h, 0);
	info(h, 1);
	info(h, 77);
	printf("trackstart %d\n", votequorum_trackstart(h, 4711, CS_TRACK_CHANGES | CS_TRACK_CURRENT));
	votequorum_dispatch(h, CS_DISPATCH_ALL);
	printf("trackstart again %d\n", votequorum_trackstart(h, 4711, CS_TRACK_CHANGES_ONLY));
	printf("setexpected 0: %d\n", votequorum_setexpected(h, 0));
	printf("setexpected 9: %d\n", votequorum_setexpected(h, 9));
	printf("setexpected 1: %d\n", votequorum_setexpected(h, 1));
	usleep(200000);
	votequorum_dispatch(h, CS_DISPATCH_ALL);
	printf("setvotes 77: %d\n", votequorum_setvotes(h, 77, 1));
	printf("setvotes 1=1: %d\n", votequorum_setvotes(h, 1, 1));
	printf("device poll %d\n", votequorum_qdevice_poll(h, "dev", 1, last_ring));
	printf("device register %d\n", votequorum_qdevice_register(h, "dev"));
	printf("device register again %d\n", votequorum_qdevice_register(h, "dev"));
	printf("device register other %d\n", votequorum_qdevice_register(h, "dav"));
	info(h, 1);
	printf("device poll %d\n", votequorum_qdevice_poll(h, "dev", 1, last_ring));
	usleep(200000);
	info(h, 1);
	printf("device master wins %d\n", votequorum_qdevice_master_wins(h, "dev", 1));
	printf("device update %d\n", votequorum_qdevice_update(h, "dev", "dov"));
	usleep(200000);
	info(h, 1);
	votequorum_ring_id_t wrong = { 1, 99 };
	printf("device poll of another ring %d\n", votequorum_qdevice_poll(h, "dov", 1, wrong));
	printf("device unregister wrong %d\n", votequorum_qdevice_unregister(h, "dev"));
	printf("device unregister %d\n", votequorum_qdevice_unregister(h, "dov"));
	usleep(200000);
	info(h, 1);
	printf("trackstop %d\n", votequorum_trackstop(h));
	printf("trackstop again %d\n", votequorum_trackstop(h));
	printf("finalize %d\n", votequorum_finalize(h));
}

static void asked(corosync_cfg_handle_t h, corosync_cfg_shutdown_flags_t flags)
{
	printf("asked to shut down, flags %d\n", flags);
	printf("reply no %d\n", corosync_cfg_replyto_shutdown(h, COROSYNC_CFG_SHUTDOWN_FLAG_NO));
}

static void cfg(void)
{
	corosync_cfg_handle_t h, h2;
	corosync_cfg_callbacks_t c = { asked };
	unsigned int node = 0, n = 0;
	char **names, **states;
	corosync_cfg_node_address_t addrs[8];
	int count = 0;
	struct corosync_cfg_node_status_v1 status;

	printf("cfg_initialize %d\n", corosync_cfg_initialize(&h, &c));
	printf("local_get %d", corosync_cfg_local_get(h, &node));
	printf(" %u\n", node);
	printf("ring_status %d", corosync_cfg_ring_status_get(h, &names, &states, &n));
	for (unsigned int i = 0; i < n; i++)
		printf(" '%s' '%s'", names[i], states[i]);
	printf("\n");
	printf("node_addrs %d", corosync_cfg_get_node_addrs(h, 1, 8, &count, addrs));
	printf(" %d length %d\n", count, addrs[0].address_length);
	printf("node_addrs of nobody %d\n", corosync_cfg_get_node_addrs(h, 99, 8, &count, addrs));
	memset(&status, 0, sizeof(status));
	printf("node_status %d", corosync_cfg_node_status_get(h, 1, CFG_NODE_STATUS_V1, &status));
	printf(" node %u reachable %d remote %d\n", status.nodeid, status.reachable, status.remote);
	printf("node_status version 7: %d\n", corosync_cfg_node_status_get(h, 1, 7, &status));
	printf("kill nobody %d\n", corosync_cfg_kill_node(h, 99, "test"));
	printf("reopen %d\n", corosync_cfg_reopen_log_files(h));
	printf("reload %d\n", corosync_cfg_reload_config(h));
	printf("reply without question %d\n", corosync_cfg_replyto_shutdown(h, COROSYNC_CFG_SHUTDOWN_FLAG_YES));
	printf("trackstart %d\n", corosync_cfg_trackstart(h, 0));
	fflush(stdout);
	child = fork();
	if (child == 0) {
		corosync_cfg_initialize(&h2, &c);
		_exit(corosync_cfg_try_shutdown(h2, COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST));
	}
	printf("dispatch %d\n", corosync_cfg_dispatch(h, CS_DISPATCH_ONE));
	int rc;
	waitpid(child, &rc, 0);
	printf("try_shutdown %d\n", WEXITSTATUS(rc));
	printf("trackstop %d\n", corosync_cfg_trackstop(h));
	printf("finalize %d\n", corosync_cfg_finalize(h));
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	cpg();
	quorum();
	votequorum();
	cfg();
	return 0;
}
