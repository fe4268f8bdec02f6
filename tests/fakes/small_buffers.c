/*
 * A fake: sockets whose buffers hold a few messages only, for one program that is preloaded with this.
 *
 * A player that tells its counters twice a second needs minutes to fill the buffer of a daemon that does not read.
 * With the smallest buffer that the kernel gives (socket(7)) it takes a second or two. How many messages found no room
 * stands on standard error at the end.
 *
 * cc -shared -fPIC -o libfakesmallbuffers.so small_buffers.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

static unsigned long refused;

int socket(int domain, int type, int protocol)
{
    static int (*next)(int, int, int);
    int fd, least = 1;

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "socket");
    fd = next(domain, type, protocol);
    if (fd >= 0 && domain == AF_UNIX && (type & 0xf) == SOCK_SEQPACKET)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    return fd;
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    static ssize_t (*next)(int, const void *, size_t, int);
    ssize_t sent;

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "send");
    sent = next(fd, data, length, flags);
    if (sent < 0 && errno == EAGAIN) {
        __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
        errno = EAGAIN;
    }
    return sent;
}

__attribute__((destructor)) static void tell(void)
{
    if (refused)
        fprintf(stderr, "fake: %lu messages found no room\n", refused);
}
