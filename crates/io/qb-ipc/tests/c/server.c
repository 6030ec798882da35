/* A server of libqb for the tests:
 * server [-u uid:gid:groups] [-a uid:gid:mode] [-d errno] [-m buffer] NAME shm|socket
 * -a sets owners as Pacemaker's daemons do (-1 leaves one), -d denies everybody.
 * Prints "ready", then a line per connection that comes and goes; ends with its stdin. */
#include "common.h"

#include <poll.h>

static qb_loop_t *loop;
static int auth_uid, auth_gid, auth_mode, auth_set, deny;

struct pending {
    qb_ipcs_connection_t *conn;
    uint32_t next, count, len;
};

static int32_t accept_client(qb_ipcs_connection_t *c, uid_t uid, gid_t gid) {
    if (deny) return -deny;
    if (auth_set) qb_ipcs_connection_auth_set(c, (uid_t)auth_uid, (gid_t)auth_gid, (mode_t)auth_mode);
    printf("accepted %d %d\n", (int)uid, (int)gid);
    return 0;
}

static void send_events(void *data) {
    struct pending *p = data;
    static uint8_t *message;
    message = realloc(message, sizeof(struct qb_ipc_response_header) + p->len);
    struct qb_ipc_response_header *header = (void *)message;
    while (p->next < p->count) {
        memset(header, 0, sizeof *header);
        header->id = (int32_t)p->next;
        header->size = (int32_t)(sizeof *header + p->len);
        fill(message + sizeof *header, p->len, p->next);
        ssize_t res = qb_ipcs_event_send(p->conn, message, (size_t)header->size);
        if (res == -EAGAIN || res == -ENOBUFS) {
            qb_loop_job_add(loop, QB_LOOP_LOW, p, send_events);
            return;
        }
        if (res < 0) break;
        p->next++;
    }
    qb_ipcs_connection_unref(p->conn);
    free(p);
}


static int32_t process(qb_ipcs_connection_t *c, void *data, size_t size) {
    struct qb_ipc_request_header *request = data;
    struct qb_ipc_response_header header;
    uint32_t *args = (uint32_t *)((uint8_t *)data + sizeof *request);
    struct iovec iov[2] = {{&header, sizeof header}, {NULL, 0}};
    memset(&header, 0, sizeof header);
    header.id = request->id;
    header.size = sizeof header;
    if (request->id == ASK_DIE) _exit(3);
    if (request->id == ASK_CLOSE) {
        qb_ipcs_disconnect(c);
        return 0;
    }
    if (request->id < ASK_EVENTS) {
        header.error = ECHO_ERROR;
        iov[1].iov_base = args;
        iov[1].iov_len = size - sizeof *request;
        header.size += (int32_t)iov[1].iov_len;
    }
    while (qb_ipcs_response_sendv(c, iov, 2) == -EAGAIN) usleep(100);
    if (request->id == ASK_EVENTS) {
        struct pending *p = calloc(1, sizeof *p);
        *p = (struct pending){c, 0, args[0], args[1]};
        qb_ipcs_connection_ref(c);
        send_events(p);
    }
    return 0;
}

static int32_t closed(qb_ipcs_connection_t *c) {
    (void)c;
    printf("closed\n");
    return 0;
}

static int32_t job_add(enum qb_loop_priority p, void *data, qb_loop_job_dispatch_fn fn) {
    return qb_loop_job_add(loop, p, data, fn);
}
static int32_t dispatch_add(enum qb_loop_priority p, int32_t fd, int32_t ev, void *data, qb_ipcs_dispatch_fn_t fn) {
    return qb_loop_poll_add(loop, p, fd, ev, data, fn);
}
static int32_t dispatch_mod(enum qb_loop_priority p, int32_t fd, int32_t ev, void *data, qb_ipcs_dispatch_fn_t fn) {
    return qb_loop_poll_mod(loop, p, fd, ev, data, fn);
}
static int32_t dispatch_del(int32_t fd) { return qb_loop_poll_del(loop, fd); }

static int32_t on_stdin(int32_t fd, int32_t revents, void *data) {
    char c;
    (void)revents;
    (void)data;
    if (read(fd, &c, 1) <= 0) {
        qb_loop_stop(loop);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv) {
    int opt;
    size_t enforced = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((opt = getopt(argc, argv, "u:a:d:m:")) != -1) {
        if (opt == 'u') become(optarg);
        else if (opt == 'a') auth_set = sscanf(optarg, "%d:%d:%o", &auth_uid, &auth_gid, (unsigned *)&auth_mode) == 3;
        else if (opt == 'd') deny = atoi(optarg);
        else if (opt == 'm') enforced = (size_t)atol(optarg);
        else return 2;
    }
    if (argc - optind != 2) return 2;
    struct qb_ipcs_service_handlers handlers = {
        .connection_accept = accept_client, .msg_process = process, .connection_closed = closed};
    struct qb_ipcs_poll_handlers polls = {
        .job_add = job_add, .dispatch_add = dispatch_add, .dispatch_mod = dispatch_mod, .dispatch_del = dispatch_del};
    enum qb_ipc_type type = strcmp(argv[optind + 1], "shm") == 0 ? QB_IPC_SHM : QB_IPC_SOCKET;
    loop = qb_loop_create();
    qb_ipcs_service_t *s = qb_ipcs_create(argv[optind], 4, type, &handlers);
    qb_ipcs_poll_handlers_set(s, &polls);
    if (enforced) qb_ipcs_enforce_buffer_size(s, (uint32_t)enforced);
    int32_t res = qb_ipcs_run(s);
    if (res) {
        printf("run failed %d\n", res);
        return 1;
    }
    qb_loop_poll_add(loop, QB_LOOP_LOW, 0, POLLIN, NULL, on_stdin);
    printf("ready\n");
    qb_loop_run(loop);
    qb_ipcs_destroy(s);
    return 0;
}
