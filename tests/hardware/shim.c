/* Loaded before the C library (LD_PRELOAD), this answers open, ioctl and close of /dev/i2c-N and /dev/gpiochipN
 * by asking the board at the socket that $LAMPPOST_BOARD names, and shows $LAMPPOST_CPUINFO as /proc/cpuinfo.
 * Everything else is the system's.
 *
 * An opened device is a connection of its own, and its file descriptor is that socket. A requested line is two:
 * the one that the caller sees carries nothing but events, so that poll and read work as on a real line; the
 * other one, `wire`, carries its ioctls. What is sent and received is `struct asked` and `struct answer`, each
 * with a payload behind it: the kernel's own structs, or for I2C_RDWR its messages one after the other.
 *
 * With $LAMPPOST_SPEED [bit/s] a transfer takes the time that the wires would, in its caller's thread, as with a
 * real controller: the board answers meanwhile.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 1024
#define PAYLOAD 65536
#define MESSAGE_MOST 8192 /* i2c-dev.c */

struct asked { uint32_t request, argument; };
struct answer { int32_t result, error; };
struct message { uint16_t address, flags, length; };

static long speed; /* of the wires, in bit/s; 0 takes no time */
static int wire[DESCRIPTORS]; /* 0: not ours; else the socket for its ioctls, plus 1 */
static pthread_mutex_t turn[DESCRIPTORS];
static int (*real_open)(const char *, int, ...), (*real_openat)(int, const char *, int, ...);
static int (*real_ioctl)(int, unsigned long, ...), (*real_close)(int);

__attribute__((constructor)) static void begin(void)
{
	real_open = dlsym(RTLD_NEXT, "open64");
	real_openat = dlsym(RTLD_NEXT, "openat64");
	real_ioctl = dlsym(RTLD_NEXT, "ioctl");
	real_close = dlsym(RTLD_NEXT, "close");
	for (int i = 0; i < DESCRIPTORS; i++)
		pthread_mutex_init(&turn[i], NULL);
	speed = getenv("LAMPPOST_SPEED") ? atol(getenv("LAMPPOST_SPEED")) : 0;
	if (speed)
		prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
}

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Sleep until the moment *end* [ns]. A kernel wakes a sleeper late by about the same each time: that is foreseen. */
static void until(int64_t end)
{
	static __thread int64_t late;
	int64_t wake = end - late;

	if (now() < wake) {
		struct timespec time = { wake / 1000000000, wake % 1000000000 };
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL))
			;
		int64_t more = now() - wake;
		late += ((more < 100000 ? more : 100000) - late) / 8;
	}
	while (now() < end)
		;
}

static int ours(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS && wire[fd];
}

/* Ask the board and wait for its answer: 0, or -1 where the board is gone. *given* are descriptors that come. */
static int ask(int fd, struct asked head, const void *out, size_t size, struct answer *answer,
	       void *in, size_t room, int given[2])
{
	char control[CMSG_SPACE(2 * sizeof(int))];
	struct iovec there[2] = { { &head, sizeof head }, { (void *)out, size } };
	struct iovec back[2] = { { answer, sizeof *answer }, { in, room } };
	struct msghdr go = { .msg_iov = there, .msg_iovlen = 2 };
	struct msghdr come = { .msg_iov = back, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control };
	int socket = wire[fd] - 1;
	ssize_t got;

	pthread_mutex_lock(&turn[fd]);
	got = sendmsg(socket, &go, MSG_NOSIGNAL);
	while (got >= 0 && (got = recvmsg(socket, &come, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		got = 0; /* a transfer that has begun is not begun again */
	pthread_mutex_unlock(&turn[fd]);
	if (got < (ssize_t)sizeof *answer) {
		errno = ENODEV;
		return -1;
	}
	struct cmsghdr *first = CMSG_FIRSTHDR(&come);
	if (given && first)
		memcpy(given, CMSG_DATA(first), 2 * sizeof(int));
	return 0;
}

static int settle(const struct answer *answer)
{
	if (answer->result >= 0)
		return answer->result;
	errno = answer->error;
	return -1;
}

static int devices(const char *path)
{
	return path && (!strncmp(path, "/dev/i2c-", 9) || !strncmp(path, "/dev/gpiochip", 13)) && getenv("LAMPPOST_BOARD");
}

/* gpiozero asks which Pi this is before it touches a pin. */
static const char *shown(const char *path)
{
	const char *instead = path && !strcmp(path, "/proc/cpuinfo") ? getenv("LAMPPOST_CPUINFO") : NULL;
	return instead ? instead : path;
}

static int open_device(const char *path)
{
	struct sockaddr_un board = { .sun_family = AF_UNIX };
	struct answer answer;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(board.sun_path, getenv("LAMPPOST_BOARD"), sizeof board.sun_path - 1);
	if (fd < 0 || fd >= DESCRIPTORS || connect(fd, (struct sockaddr *)&board, sizeof board)) {
		if (fd >= 0)
			real_close(fd);
		errno = ENODEV;
		return -1;
	}
	wire[fd] = fd + 1;
	if (ask(fd, (struct asked){ 0, 0 }, path, strlen(path), &answer, NULL, 0, NULL) || settle(&answer) < 0) {
		int why = errno;
		wire[fd] = 0;
		real_close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

#define MODE(last) ({ va_list rest; va_start(rest, last); int mode = va_arg(rest, int); va_end(rest); mode; })

int open(const char *path, int flags, ...)
{
	return devices(path) ? open_device(path) : real_open(shown(path), flags, MODE(flags));
}

int open64(const char *path, int flags, ...)
{
	return devices(path) ? open_device(path) : real_open(shown(path), flags, MODE(flags));
}

int openat(int at, const char *path, int flags, ...)
{
	return devices(path) ? open_device(path) : real_openat(at, shown(path), flags, MODE(flags));
}

int openat64(int at, const char *path, int flags, ...)
{
	return devices(path) ? open_device(path) : real_openat(at, shown(path), flags, MODE(flags));
}

int close(int fd)
{
	if (ours(fd)) {
		int socket = wire[fd] - 1;
		wire[fd] = 0;
		if (socket != fd)
			real_close(socket);
	}
	return real_close(fd);
}

/* I2C_RDWR: the messages and what they write, one after the other; back comes what they read. */
static int transfer(int fd, struct i2c_rdwr_ioctl_data *batch)
{
	static __thread char out[PAYLOAD], in[PAYLOAD];
	struct answer answer;
	size_t size = 0, at = 0;
	int64_t began = now(), bits = 1;

	if (!batch->nmsgs || batch->nmsgs > I2C_RDWR_IOCTL_MAX_MSGS) {
		errno = EINVAL;
		return -1;
	}
	for (unsigned i = 0; i < batch->nmsgs; i++) {
		struct i2c_msg *each = &batch->msgs[i];
		struct message head = { each->addr, each->flags, each->len };
		size_t writes = each->flags & I2C_M_RD ? 0 : each->len;
		if (each->len > MESSAGE_MOST || size + sizeof head + writes > PAYLOAD) {
			errno = EINVAL;
			return -1;
		}
		memcpy(out + size, &head, sizeof head);
		memcpy(out + size + sizeof head, each->buf, writes);
		size += sizeof head + writes;
		bits += 1 + 9 * (1 + each->len);
	}
	if (ask(fd, (struct asked){ I2C_RDWR, 0 }, out, size, &answer, in, sizeof in, NULL))
		return -1;
	if (speed && answer.result >= 0)
		until(began + bits * 1000000000 / speed);
	for (unsigned i = 0; answer.result >= 0 && i < batch->nmsgs; i++) {
		struct i2c_msg *each = &batch->msgs[i];
		if (each->flags & I2C_M_RD) {
			memcpy(each->buf, in + at, each->len);
			at += each->len;
		}
	}
	return settle(&answer);
}

/* A GPIO ioctl: its struct there and back. A request for lines brings two descriptors. */
static int lines(int fd, unsigned long request, void *argument)
{
	struct answer answer;
	int given[2] = { -1, -1 };

	if (ask(fd, (struct asked){ request, 0 }, argument, _IOC_SIZE(request), &answer, argument, _IOC_SIZE(request), given))
		return -1;
	if (request == GPIO_V2_GET_LINE_IOCTL && answer.result >= 0) {
		if (given[0] < 0 || given[0] >= DESCRIPTORS) {
			errno = EMFILE;
			return -1;
		}
		wire[given[0]] = given[1] + 1;
		((struct gpio_v2_line_request *)argument)->fd = given[0];
	}
	return settle(&answer);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	request &= 0xffffffffUL;
	if (!ours(fd))
		return real_ioctl(fd, request, argument);
	if (request == I2C_RDWR)
		return transfer(fd, argument);
	if (_IOC_TYPE(request) == 0xB4)
		return lines(fd, request, argument);
	struct answer answer;
	size_t room = request == I2C_FUNCS ? sizeof(unsigned long) : 0;
	if (ask(fd, (struct asked){ request, (uint32_t)(uintptr_t)argument }, NULL, 0, &answer, argument, room, NULL))
		return -1;
	return settle(&answer);
}
