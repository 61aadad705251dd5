/* The program on the board: an IMU up, set-points down, commands. The same on a microcontroller and, for
 * tests, as a process; what differs is given in `demo_board`. */
#ifndef DEMO_H
#define DEMO_H

#include "bowline.h"

typedef struct {
  size_t (*read)(void *user, uint8_t *bytes, size_t room);
  size_t (*write)(void *user, const uint8_t *bytes, size_t size);
  void (*reset)(void);          /* does not come back */
  void (*hang)(void);           /* nor does this */
  const uint8_t *instance;      /* 16 bytes, other ones at each start */
} demo_board;

void demo_start(const demo_board *board, uint64_t now);
void demo_step(uint64_t now);

#endif
