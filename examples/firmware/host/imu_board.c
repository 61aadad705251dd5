/* The board's program as a process: `imu_board TTY`. A reset starts it anew from its file; a hang ends by the
 * watchdog as on the board. A port that goes is opened again when it is back. */
#define _DEFAULT_SOURCE
#include "../demo/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { WATCHDOG_SECONDS = 3 };

static char **arguments;
static int port = -1;

static uint64_t now(void) {
  static uint64_t begun;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t micros = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
  if (!begun) begun = micros;   /* a board's clock begins at 0 */
  return micros - begun;
}

static void restart(void) {
  execv("/proc/self/exe", arguments);
  _exit(1);
}

static void on_alarm(int signal) {
  (void)signal;
  restart();
}

static void hang(void) {
  for (;;) {
    struct timespec t = { 1, 0 };
    nanosleep(&t, NULL);
  }
}

static void lost(void) {
  if (errno == EAGAIN || errno == EINTR) return;
  close(port);
  port = -1;
}

static size_t tty_read(void *user, uint8_t *bytes, size_t room) {
  ssize_t n = port < 0 ? 0 : read(port, bytes, room);
  (void)user;
  if (n < 0) lost();
  return n > 0 ? (size_t)n : 0;
}

static size_t tty_write(void *user, const uint8_t *bytes, size_t size) {
  ssize_t n = port < 0 ? (ssize_t)size : write(port, bytes, size);      /* an open line takes all */
  (void)user;
  if (n < 0) lost();
  return n > 0 ? (size_t)n : 0;
}

static void open_port(const char *path) {
  struct termios t;
  port = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (port < 0 || tcgetattr(port, &t)) return;
  cfmakeraw(&t);
  cfsetspeed(&t, B115200);
  tcsetattr(port, TCSANOW, &t);
}

int main(int argc, char **argv) {
  static uint8_t instance[16];
  static const demo_board board = { tty_read, tty_write, restart, hang, instance };
  sigset_t alarms;
  if (argc != 2) return fprintf(stderr, "usage: imu_board TTY\n"), 2;
  arguments = argv;
  if (getrandom(instance, sizeof instance, 0) != sizeof instance) return 1;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &alarms, NULL);      /* it was started out of the handler */
  signal(SIGALRM, on_alarm);
  open_port(argv[1]);
  demo_start(&board, now());
  for (;;) {
    struct pollfd waits = { port, POLLIN, 0 };
    poll(&waits, 1, 1);
    if (port < 0) open_port(argv[1]);
    alarm(WATCHDOG_SECONDS);
    demo_step(now());
  }
}
