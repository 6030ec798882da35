/* What both programs share: the test messages, and becoming another user. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <qb/qbipc_common.h>
#include <qb/qbipcc.h>
#include <qb/qbipcs.h>
#include <qb/qbloop.h>

/* Requests below this id are echoed; the others ask for something. */
#define ASK_EVENTS 1000 /* body: u32 count, u32 bytes of each */
#define ASK_FLOW 1001   /* body: u32 level */
#define ASK_CLOSE 1002
#define ASK_DIE 1003 /* _exit without cleaning up */
#define ECHO_ERROR 7 /* an echo's error is this, so that the field is seen to travel */

static inline uint8_t pattern(uint32_t seed, size_t at) {
    return (uint8_t)(seed * 31u + at * 7u + (at >> 8));
}

static inline void fill(uint8_t *body, size_t len, uint32_t seed) {
    for (size_t i = 0; i < len; i++) body[i] = pattern(seed, i);
}

static inline int matches(const uint8_t *body, size_t len, uint32_t seed) {
    for (size_t i = 0; i < len; i++)
        if (body[i] != pattern(seed, i)) return 0;
    return 1;
}

/* "uid:gid:extra,extra" */
static inline void become(const char *spec) {
    char *copy = strdup(spec), *save = NULL;
    uid_t uid = (uid_t)strtoul(strtok_r(copy, ":", &save), NULL, 10);
    gid_t gid = (gid_t)strtoul(strtok_r(NULL, ":", &save), NULL, 10);
    gid_t groups[16];
    size_t count = 0;
    for (char *g = strtok_r(NULL, ",", &save); g && count < 16; g = strtok_r(NULL, ",", &save))
        groups[count++] = (gid_t)strtoul(g, NULL, 10);
    if (setgroups(count, groups) || setgid(gid) || setuid(uid)) {
        perror("become");
        exit(2);
    }
    free(copy);
}

#endif
