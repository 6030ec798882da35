/* The C library's side of the benchmark: bench_server NAME shm|socket.
 * Echoes the body of every request; ends with its stdin. */
#include "common.h"

#include <poll.h>

static qb_loop_t *loop;

static int32_t accept_client(qb_ipcs_connection_t *c, uid_t uid, gid_t gid) {
    (void)c;
    (void)uid;
    (void)gid;
    return 0;
}

static int32_t process(qb_ipcs_connection_t *c, void *data, size_t size) {
    struct qb_ipc_request_header *request = data;
    struct qb_ipc_response_header header;
    struct iovec iov[2] = {{&header, sizeof header}, {(uint8_t *)data + sizeof *request, size - sizeof *request}};
    memset(&header, 0, sizeof header);
    header.id = request->id;
    header.size = (int32_t)(sizeof header + iov[1].iov_len);
    while (qb_ipcs_response_sendv(c, iov, 2) == -EAGAIN) {}
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
    if (argc != 3) return 2;
    struct qb_ipcs_service_handlers handlers = {.connection_accept = accept_client, .msg_process = process};
    struct qb_ipcs_poll_handlers polls = {
        .job_add = job_add, .dispatch_add = dispatch_add, .dispatch_mod = dispatch_mod, .dispatch_del = dispatch_del};
    loop = qb_loop_create();
    qb_ipcs_service_t *s = qb_ipcs_create(argv[1], 4, strcmp(argv[2], "shm") == 0 ? QB_IPC_SHM : QB_IPC_SOCKET, &handlers);
    qb_ipcs_poll_handlers_set(s, &polls);
    if (qb_ipcs_run(s)) return 1;
    qb_loop_poll_add(loop, QB_LOOP_LOW, 0, POLLIN, NULL, on_stdin);
    puts("ready");
    fflush(stdout);
    qb_loop_run(loop);
    qb_ipcs_destroy(s);
    return 0;
}
