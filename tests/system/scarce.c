/* Threads and processes that are not to be had, as under TasksMax: while the file that SCARCE_THREAD or SCARCE_FORK names
 * is there, each new one is refused as the kernel refuses it. Preloaded, it stands before libc's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static int scarce(const char *what) {
    const char *path = getenv(what);
    return path && !access(path, F_OK);
}

int pthread_create(pthread_t *restrict made, const pthread_attr_t *restrict with, void *(*run)(void *),
                   void *restrict about) {
    if (scarce("SCARCE_THREAD"))
        return EAGAIN;
    return REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *)(made, with, run,
                                                                                                       about);
}

pid_t fork(void) {
    if (scarce("SCARCE_FORK")) {
        errno = EAGAIN;
        return -1;
    }
    return REAL(pid_t, "fork", void)();
}
