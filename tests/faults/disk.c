/* A disk that can be watched and made to fail: loaded before the C library (LD_PRELOAD), it stands between a
 * process and the files under DISK_ROOT. SQLite, Python and the real file system below it are what they always are.
 *
 * It writes down, in order, every write, truncation, sync, creation, renaming and removal (disk_record), from which
 * the images are made that a power cut may leave. It fails the call that it is told to fail (disk_fail), plays a
 * disk with so many bytes free (disk_room), and says how many calls there were (disk_calls). See disk.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, NAME = 8, READ = 16 };

struct entry {
    uint32_t kind, length;
    uint64_t inode;
    int64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static char *trace;
static size_t used, room_for;
static int recording;
static long calls, failed, fail_at;
static int fail_error, fail_kinds, fail_always, counted;
static int64_t room = -1;

#define REAL(type, name, ...)                                   \
    static type (*real)(__VA_ARGS__);                           \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* What Python calls. */

void disk_record(int on) { recording = on; if (on) used = 0; }
const char *disk_trace(void) { return trace; }
size_t disk_traced(void) { return used; }
void disk_room(int64_t bytes) { room = bytes; }
int64_t disk_room_left(void) { return room; }
long disk_calls(void) { return calls; }
long disk_failed(void) { return failed; }

/* Fail the call number `at` of those `kinds` from now on, counted from 1, or all from it on; at 0: none.
 * An `error` below zero is a signal: it ends the process before the call. */
void disk_fail(long at, int error, int kinds, int always) {
    pthread_mutex_lock(&lock);
    fail_at = at, fail_error = error, counted = kinds, fail_kinds = kinds, fail_always = always;
    calls = failed = 0;
    pthread_mutex_unlock(&lock);
}

static void note(int kind, uint64_t inode, int64_t offset, const void *data, size_t length) {
    if (!recording) return;
    struct entry entry = {kind, length, inode, offset};
    if (used + sizeof entry + length > room_for) {
        room_for = 2 * (used + sizeof entry + length);
        if (!(trace = realloc(trace, room_for))) abort();
    }
    memcpy(trace + used, &entry, sizeof entry);
    if (length) memcpy(trace + used + sizeof entry, data, length);
    used += sizeof entry + length;
}

/* Put a mark between the entries: what the process has promised so far. */
void disk_mark(const char *data, size_t length) {
    pthread_mutex_lock(&lock);
    note('m', 0, 0, data, length);
    pthread_mutex_unlock(&lock);
}

/* Which files. */

static __attribute__((constructor)) void begin(void) {
    const char *given = getenv("DISK_ROOT");
    snprintf(root, sizeof root, "%s", given ? given : "");
}

static int under(const char *path) {
    size_t length = strlen(root);
    return length && path && !strncmp(path, root, length) && (!path[length] || path[length] == '/');
}

static int volatile_(const char *path) {  /* the index of the log: memory that happens to have a name */
    const char *end = strstr(path, "-shm");
    return end && (!end[4] || end[4] == ' ');
}

static int file_of(int fd, char *path) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return under(path);
}

static uint64_t inode_of(const char *path) {
    struct stat found;
    return stat(path, &found) ? 0 : found.st_ino;
}

/* Whether this call is to fail. The lock is held. */
static int refused(int kind) {
    if (kind & counted) calls++;
    if (!fail_at || !(kind & fail_kinds) || (fail_always ? calls < fail_at : calls != fail_at)) return 0;
    if (fail_error < 0) kill(getpid(), -fail_error);
    failed++;
    errno = fail_error;
    return 1;
}

/* Take from the room what a file that grows needs; give how much of `wanted` there is. */
static int64_t granted(int fd, int64_t offset, int64_t wanted) {
    struct stat found;
    if (room < 0 || fstat(fd, &found)) return wanted;
    int64_t grows = offset + wanted - found.st_size;
    if (grows <= 0) return wanted;
    if (grows > room) wanted -= grows - room, grows = room;
    room -= grows;
    return wanted > 0 ? wanted : 0;
}

typedef ssize_t (*writer)(int, const void *, size_t, off_t);

static ssize_t written(writer real, int fd, const void *data, size_t size, off_t offset) {
    char path[PATH_MAX];
    if (!file_of(fd, path)) return real(fd, data, size, offset);
    pthread_mutex_lock(&lock);
    int bad = refused(WRITE), error = errno;
    int64_t most = bad ? (int64_t)size / 2 : (int64_t)size;  /* what fails has got half of it down */
    int64_t given = granted(fd, offset, most);
    ssize_t done = given ? real(fd, data, given, offset) : 0;
    if (done > 0 && !volatile_(path)) {
        struct stat found;
        note('w', fstat(fd, &found) ? 0 : found.st_ino, offset, data, done);
    }
    pthread_mutex_unlock(&lock);
    if (bad) { errno = error; return -1; }
    if (!done && size) { errno = ENOSPC; return -1; }
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return written(real, fd, data, size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

static ssize_t sequential(int fd, const void *data, size_t size, off_t offset) {
    REAL(ssize_t, "write", int, const void *, size_t);
    (void)offset;
    return real(fd, data, size);
}
ssize_t write(int fd, const void *data, size_t size) {
    off_t at = *root ? lseek(fd, 0, SEEK_CUR) : -1;
    return at < 0 ? sequential(fd, data, size, 0) : written(sequential, fd, data, size, at);
}

static int synced(int (*real)(int), int fd) {
    char path[PATH_MAX];
    if (!file_of(fd, path)) return real(fd);
    pthread_mutex_lock(&lock);
    struct stat found;
    int bad = refused(SYNC), done = bad ? -1 : real(fd);
    int kind = fstat(fd, &found) ? 0 : S_ISDIR(found.st_mode) ? 'd' : 's';
    if (kind && !volatile_(path)) note(done ? 'f' : kind, found.st_ino, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    if (bad) errno = fail_error;
    return done;
}
int fsync(int fd) { REAL(int, "fsync", int); return synced(real, fd); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return synced(real, fd); }

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    char path[PATH_MAX];
    if (!file_of(fd, path)) return real(fd, size);
    pthread_mutex_lock(&lock);
    struct stat found;
    int known = !fstat(fd, &found), bad = refused(TRUNCATE), done = bad ? -1 : real(fd, size);
    if (!done && known && room >= 0) room += found.st_size > size ? found.st_size - size : 0;
    if (!done && known && !volatile_(path)) note('t', found.st_ino, size, "", 0);
    pthread_mutex_unlock(&lock);
    if (bad) errno = fail_error;
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    char path[PATH_MAX];
    if (!file_of(fd, path)) return real(fd, offset, length);
    pthread_mutex_lock(&lock);
    int error = refused(WRITE) ? fail_error : granted(fd, offset, length) < length ? ENOSPC : real(fd, offset, length);
    pthread_mutex_unlock(&lock);
    return error;
}
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

/* Names. */

int open64(const char *path, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (!under(path)) return real(path, flags, mode);
    pthread_mutex_lock(&lock);
    uint64_t before = inode_of(path);
    int creates = flags & O_CREAT && !before, changes = creates || (flags & O_ACCMODE) != O_RDONLY;
    int bad = refused(changes ? NAME : READ), fd = bad ? -1 : real(path, flags, mode), error = errno;
    if (fd >= 0 && !volatile_(path)) {
        if (creates) note('c', inode_of(path), 0, path, strlen(path));
        else if (flags & O_TRUNC) note('t', before, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = bad ? fail_error : error;
    return fd;
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (!under(path)) return real(path);
    pthread_mutex_lock(&lock);
    struct stat found = {0};
    int known = !stat(path, &found), bad = refused(NAME), done = bad ? -1 : real(path), error = errno;
    if (!done && known && room >= 0) room += found.st_size;
    if (!done && !volatile_(path)) note('u', found.st_ino, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    errno = bad ? fail_error : error;
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (!under(from)) return real(from, to);
    char both[2 * PATH_MAX];
    int length = snprintf(both, sizeof both, "%s\n%s", from, to);
    pthread_mutex_lock(&lock);
    uint64_t inode = inode_of(from);
    int bad = refused(NAME), done = bad ? -1 : real(from, to), error = errno;
    if (!done && !volatile_(from)) note('r', inode, 0, both, length);
    pthread_mutex_unlock(&lock);
    errno = bad ? fail_error : error;
    return done;
}

/* What is read, and how much room there is. */

static int unreadable(int fd) {
    char path[PATH_MAX];
    if (!(fail_kinds & READ) || !file_of(fd, path)) return 0;
    pthread_mutex_lock(&lock);
    int bad = refused(READ);
    pthread_mutex_unlock(&lock);
    return bad;
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    return unreadable(fd) ? -1 : real(fd, data, size, offset);
}
ssize_t pread(int fd, void *data, size_t size, off_t offset) { return pread64(fd, data, size, offset); }

int statvfs64(const char *path, struct statvfs64 *found) {
    REAL(int, "statvfs64", const char *, struct statvfs64 *);
    int done = real(path, found);
    if (!done && room >= 0 && under(path)) found->f_bavail = found->f_bfree = room / found->f_frsize;
    return done;
}
int statvfs(const char *path, struct statvfs *found) { return statvfs64(path, (struct statvfs64 *)found); }
