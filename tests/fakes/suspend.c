/*
 * A fake: a box that was suspended, for one program that is preloaded with this.
 *
 * While a box sleeps CLOCK_BOOTTIME and CLOCK_REALTIME go on and CLOCK_MONOTONIC stands still (clock_gettime(2)). So
 * these two are shown ahead of the kernel's by as many nanoseconds as stand, in host order, in the first eight bytes
 * of the file that STBEACON_FAKE_SUSPEND names. It is mapped: whoever writes there puts all such programs to sleep at
 * once.
 *
 * cc -shared -fPIC -o libfakesuspend.so suspend.c
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const int64_t *slept;

__attribute__((constructor)) static void map(void)
{
    const char *file = getenv("STBEACON_FAKE_SUSPEND");
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    void *page;

    if (fd < 0)
        return;
    page = mmap(NULL, sizeof *slept, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        slept = page;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int64_t more;

    if (syscall(SYS_clock_gettime, clock, time) != 0)
        return -1;
    switch (clock) {
    case CLOCK_BOOTTIME:
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        more = slept ? __atomic_load_n(slept, __ATOMIC_RELAXED) : 0;
        more += time->tv_nsec;
        time->tv_sec += more / SECOND;
        time->tv_nsec = more % SECOND;
        break;
    default:
        break;
    }
    return 0;
}
