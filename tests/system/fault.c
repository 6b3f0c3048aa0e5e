/* Writes and fsyncs of a process that fail: preloaded, it stands before libc's. FAULT names a file of this layout, which
 * is mapped, so that a test arms it while the process runs; only files whose path has FAULT_PATH in it are meant. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

struct fault {
    long left;   /* calls until the one that fails; 0: none does */
    long error;  /* errno of it */
    long stays;  /* 1: all after it fail too */
    long seen;   /* calls since the file was made */
    long failed; /* those that failed */
    long kinds;  /* 1: writes, 2: fsyncs, 3: both */
};

static volatile struct fault *fault;
static const char *path;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULT");
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    fault = mapped == MAP_FAILED ? NULL : mapped;
    path = getenv("FAULT_PATH");
}

static int meant(int fd) {
    char link[64], name[4096];
    ssize_t size;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, name, sizeof name - 1);
    if (size < 0)
        return 0;
    name[size] = 0;
    return strstr(name, path) != NULL;
}

static int fails(int fd, long kind) {
    if (!fault || !path || !(fault->kinds & kind) || !meant(fd))
        return 0;
    __sync_fetch_and_add(&fault->seen, 1);
    if (fault->left == 0 || __sync_sub_and_fetch(&fault->left, 1) > 0)
        return 0;
    fault->left = fault->stays ? 1 : 0;
    __sync_fetch_and_add(&fault->failed, 1);
    errno = (int)fault->error;
    return 1;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return fails(fd, 1) ? -1 : REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fails(fd, 1) ? -1 : REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size) {
    return fails(fd, 1) ? -1 : REAL(ssize_t, "write", int, const void *, size_t)(fd, data, size);
}

int fsync(int fd) { return fails(fd, 2) ? -1 : REAL(int, "fsync", int)(fd); }

int fdatasync(int fd) { return fails(fd, 2) ? -1 : REAL(int, "fdatasync", int)(fd); }
