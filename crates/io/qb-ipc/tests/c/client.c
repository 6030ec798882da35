/* A client of libqb for the tests: client [-u uid:gid:groups] NAME MAX COMMAND ARGS...
 * Prints one line per finding; exits with 0 unless something is wrong. */
#include "common.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

static qb_ipcc_connection_t *conn;
static uint8_t *buffer;
static size_t max;

static void fail(const char *what, long result) {
    printf("FAILED %s %ld\n", what, result);
    exit(1);
}

static long send_request(int32_t id, const void *body, size_t len) {
    struct qb_ipc_request_header header;
    memset(&header, 0, sizeof header);
    header.id = id;
    header.size = (int32_t)(sizeof header + len);
    struct iovec iov[2] = {{&header, sizeof header}, {(void *)body, len}};
    return qb_ipcc_sendv(conn, iov, 2);
}

static void send_all(int32_t id, const void *body, size_t len) {
    long res;
    while ((res = send_request(id, body, len)) == -EAGAIN) usleep(100);
    if (res < 0) fail("send", res);
}

static void check(long res, int32_t id, int32_t error, size_t len, uint32_t seed) {
    struct qb_ipc_response_header *header = (void *)buffer;
    if (res != (long)(sizeof *header + len)) fail("length", res);
    if (header->id != id || header->error != error || header->size != res) fail("header", header->id);
    if (!matches(buffer + sizeof *header, len, seed)) fail("content", (long)len);
}

/* echo COUNT SIZE... */
static void echo(int argc, char **argv) {
    uint32_t count = (uint32_t)atoi(argv[0]);
    uint8_t *body = malloc(max);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = (size_t)atol(argv[1 + i % (uint32_t)(argc - 1)]);
        int32_t id = (int32_t)(i % 100);
        fill(body, len, i);
        send_all(id, body, len);
        check(qb_ipcc_recv(conn, buffer, max, 10000), id, ECHO_ERROR, len, i);
    }
    printf("echoed %u\n", count);
    free(body);
}

/* pipeline COUNT SIZE: sends ahead as far as the channel lets it */
static void pipeline(char **argv) {
    uint32_t count = (uint32_t)atoi(argv[0]), sent = 0, got = 0;
    size_t len = (size_t)atol(argv[1]);
    uint8_t *body = malloc(len + 1);
    while (got < count) {
        fill(body, len, sent);
        long res = sent < count ? send_request((int32_t)(sent % 100), body, len) : -EAGAIN;
        if (res >= 0) {
            sent++;
            continue;
        }
        if (res != -EAGAIN) fail("send", res);
        check(qb_ipcc_recv(conn, buffer, max, 10000), (int32_t)(got % 100), ECHO_ERROR, len, got);
        got++;
    }
    printf("echoed %u\n", count);
    free(body);
}

static void hold(void) {
    char c;
    while (read(0, &c, 1) > 0) {}
}

static void ask_events(uint32_t count, uint32_t len) {
    uint32_t body[2] = {count, len};
    send_all(ASK_EVENTS, body, sizeof body);
    long res = qb_ipcc_recv(conn, buffer, max, 10000);
    if (res != sizeof(struct qb_ipc_response_header)) fail("answer", res);
}

/* events COUNT SIZE [PAUSE_MS] */
static void events(int argc, char **argv) {
    uint32_t count = (uint32_t)atoi(argv[0]), len = (uint32_t)atoi(argv[1]);
    ask_events(count, len);
    if (argc > 2) usleep((useconds_t)atoi(argv[2]) * 1000);
    for (uint32_t i = 0; i < count; i++)
        check(qb_ipcc_event_recv(conn, buffer, max, 10000), (int32_t)i, 0, len, i);
    long res = qb_ipcc_event_recv(conn, buffer, max, 0);
    if (res != -EAGAIN) fail("no more events", res);
    printf("events %u\n", count);
    hold();
}

static void peercred(void) {
    int32_t fd;
    struct ucred c;
    socklen_t len = sizeof c;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    qb_ipcc_fd_get(conn, &fd);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len)) fail("SO_PEERCRED", errno);
    printf("descriptor %d %d %d\n", (int)c.pid, (int)c.uid, (int)c.gid);
    qb_ipcc_auth_get(conn, &pid, &uid, &gid);
    printf("auth %d %d %d\n", (int)pid, (int)uid, (int)gid);
}

/* flow: each level against each limit, as the server sets them on request */
static void flow(void) {
    for (uint32_t limit = 1; limit <= 2; limit++) {
        for (uint32_t level = 0; level <= 2; level++) {
            qb_ipcc_fc_enable_max_set(conn, limit);
            send_all(ASK_FLOW, &level, sizeof level);
            long res = qb_ipcc_recv(conn, buffer, max, 10000);
            if (res < 0) fail("flow", res);
            res = send_request(1, NULL, 0);
            printf("limit %u level %u: %s\n", limit, level, res == -EAGAIN ? "held" : res < 0 ? "error" : "sent");
            if (res >= 0) {
                /* The server serves it once the level is back at 0 by itself. */
                res = qb_ipcc_recv(conn, buffer, max, 10000);
                check(res, 1, ECHO_ERROR, 0, 0);
            } else {
                while ((res = send_request(1, NULL, 0)) == -EAGAIN) usleep(1000);
                check(qb_ipcc_recv(conn, buffer, max, 10000), 1, ECHO_ERROR, 0, 0);
            }
        }
    }
}

/* die: the server is killed while we wait; what do we see? */
static void die(void) {
    send_all(ASK_DIE, NULL, 0);
    long res = qb_ipcc_recv(conn, buffer, max, 1000);
    long event = qb_ipcc_event_recv(conn, buffer, max, 1000);
    long sent = send_request(1, NULL, 0);
    printf("recv %s, event %s, send %s, connected %d\n", res < 0 ? "failed" : "got",
           event < 0 ? "failed" : "got", sent < 0 ? "failed" : "sent", qb_ipcc_is_connected(conn));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && strcmp(argv[1], "-u") == 0) {
        become(argv[2]);
        argv += 2;
        argc -= 2;
    }
    if (argc < 4) return 2;
    conn = qb_ipcc_connect(argv[1], (size_t)atol(argv[2]));
    if (conn == NULL) {
        printf("connect failed %d\n", errno);
        return 0;
    }
    max = (size_t)qb_ipcc_get_buffer_size(conn);
    buffer = malloc(max);
    printf("connected %zu\n", max);
    const char *command = argv[3];
    argv += 4;
    argc -= 4;
    if (strcmp(command, "echo") == 0) echo(argc, argv);
    else if (strcmp(command, "pipeline") == 0) pipeline(argv);
    else if (strcmp(command, "events") == 0) events(argc, argv);
    else if (strcmp(command, "peercred") == 0) peercred();
    else if (strcmp(command, "flow") == 0) flow();
    else if (strcmp(command, "die") == 0) die();
    else if (strcmp(command, "hold") == 0) hold();
    else if (strcmp(command, "silent") == 0) {
        ask_events((uint32_t)atoi(argv[0]), (uint32_t)atoi(argv[1]));
        printf("silent\n");
        hold();
    } else if (strcmp(command, "toolong") == 0) {
        /* one byte more than fits, then the most that fits */
        size_t len = max - sizeof(struct qb_ipc_request_header);
        uint8_t *body = calloc(1, len + 1);
        printf("toolong %ld\n", send_request(1, body, len + 1));
        printf("kernel %ld\n", send_request(1, body, len));
        free(body);
    } else if (strcmp(command, "close") == 0) {
        send_all(ASK_CLOSE, NULL, 0);
        printf("closed %ld\n", (long)qb_ipcc_event_recv(conn, buffer, max, 10000));
    } else if (strcmp(command, "connect") != 0) return 2;
    qb_ipcc_disconnect(conn);
    printf("done\n");
    return 0;
}
