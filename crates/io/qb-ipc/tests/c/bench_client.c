/* The C library's side of the benchmark: bench_client NAME MAX SIZE COUNT.
 * Prints the nanoseconds that COUNT round trips took. */
#include "common.h"

#include <time.h>

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    qb_ipcc_connection_t *c = qb_ipcc_connect(argv[1], (size_t)atol(argv[2]));
    if (c == NULL) return 1;
    size_t len = (size_t)atol(argv[3]), max = (size_t)qb_ipcc_get_buffer_size(c);
    long count = atol(argv[4]), warm = count / 10 + 1;
    struct qb_ipc_request_header header;
    uint8_t *body = calloc(1, len + 1), *answer = calloc(1, max);
    struct iovec iov[2] = {{&header, sizeof header}, {body, len}};
    struct timespec start, end;
    memset(&header, 0, sizeof header);
    header.size = (int32_t)(sizeof header + len);
    for (long i = -warm; i < count; i++) {
        if (i == 0) clock_gettime(CLOCK_MONOTONIC, &start);
        long res;
        /* The library's server answers before it frees the request's place. */
        while ((res = qb_ipcc_sendv_recv(c, iov, 2, answer, max, -1)) == -EAGAIN) {}
        if (res != (long)(sizeof(struct qb_ipc_response_header) + len)) {
            fprintf(stderr, "round trip %ld: %ld\n", i, res);
            return 1;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%ld\n", (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec);
    qb_ipcc_disconnect(c);
    return 0;
}
