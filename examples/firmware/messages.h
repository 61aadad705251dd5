/* Made by `cargo run --example c_header`; not to be edited. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "bowline.h"

/* The most items of a text or list. */
#ifndef MESSAGE_ITEMS
#define MESSAGE_ITEMS 32
#endif

/* Imu {count: u32, gyro: [f32; 3], accel: [f32; 3]} */
#define IMU_TYPE "Imu"
#define IMU_FINGERPRINT UINT64_C(0xFF91AEEFBF14BF03)
#define IMU_SIZE (5 + 3 * (4) + 3 * (4))  /* encoded, at most */

typedef struct {
  uint32_t count;
  float gyro[3];
  float accel[3];
} Imu;

static inline void Imu_encode(bowline_writer *w, const Imu *v) {
  bowline_put_uint(w, (*v).count);
  for (uint32_t i1 = 0; i1 < 3; i1++) {
    bowline_put_f32(w, (*v).gyro[i1]);
  }
  for (uint32_t i1 = 0; i1 < 3; i1++) {
    bowline_put_f32(w, (*v).accel[i1]);
  }
}

/* False: this is none. */
static inline bool Imu_decode(Imu *v, const void *payload, size_t size) {
  bowline_reader reader = { payload, (const uint8_t *)payload + size, false }, *r = &reader;
  (*v).count = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  for (uint32_t i1 = 0; i1 < 3; i1++) {
    (*v).gyro[i1] = bowline_get_f32(r);
  }
  for (uint32_t i1 = 0; i1 < 3; i1++) {
    (*v).accel[i1] = bowline_get_f32(r);
  }
  return !r->failed && r->at == r->end;
}

/* Setpoint {count: u32, left: f32, right: f32} */
#define SETPOINT_TYPE "Setpoint"
#define SETPOINT_FINGERPRINT UINT64_C(0x30046D2461EDBC1F)
#define SETPOINT_SIZE (5 + 4 + 4)  /* encoded, at most */

typedef struct {
  uint32_t count;
  float left;
  float right;
} Setpoint;

static inline void Setpoint_encode(bowline_writer *w, const Setpoint *v) {
  bowline_put_uint(w, (*v).count);
  bowline_put_f32(w, (*v).left);
  bowline_put_f32(w, (*v).right);
}

/* False: this is none. */
static inline bool Setpoint_decode(Setpoint *v, const void *payload, size_t size) {
  bowline_reader reader = { payload, (const uint8_t *)payload + size, false }, *r = &reader;
  (*v).count = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).left = bowline_get_f32(r);
  (*v).right = bowline_get_f32(r);
  return !r->failed && r->at == r->end;
}

/* Status {setpoints: u32, lost: u32, last: u32, age: u32, commands: u32, echo: u16, noise: u32, repeats: u32, stopped: bool} */
#define STATUS_TYPE "Status"
#define STATUS_FINGERPRINT UINT64_C(0xA7A20CD7AB1436F0)
#define STATUS_SIZE (5 + 5 + 5 + 5 + 5 + 3 + 5 + 5 + 1)  /* encoded, at most */

typedef struct {
  uint32_t setpoints;
  uint32_t lost;
  uint32_t last;
  uint32_t age;
  uint32_t commands;
  uint16_t echo;
  uint32_t noise;
  uint32_t repeats;
  bool stopped;
} Status;

static inline void Status_encode(bowline_writer *w, const Status *v) {
  bowline_put_uint(w, (*v).setpoints);
  bowline_put_uint(w, (*v).lost);
  bowline_put_uint(w, (*v).last);
  bowline_put_uint(w, (*v).age);
  bowline_put_uint(w, (*v).commands);
  bowline_put_uint(w, (*v).echo);
  bowline_put_uint(w, (*v).noise);
  bowline_put_uint(w, (*v).repeats);
  bowline_put_u8(w, (*v).stopped);
}

/* False: this is none. */
static inline bool Status_decode(Status *v, const void *payload, size_t size) {
  bowline_reader reader = { payload, (const uint8_t *)payload + size, false }, *r = &reader;
  (*v).setpoints = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).lost = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).last = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).age = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).commands = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).echo = (uint16_t)bowline_get_uint(r, UINT16_MAX);
  (*v).noise = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).repeats = (uint32_t)bowline_get_uint(r, UINT32_MAX);
  (*v).stopped = bowline_get_bool(r);
  return !r->failed && r->at == r->end;
}

/* Command enum {Reset, Hang, Echo(u16)} */
#define COMMAND_TYPE "Command"
#define COMMAND_FINGERPRINT UINT64_C(0x71EB9B6747B30B16)
#define COMMAND_SIZE (1 + 0 + 0 + 3)  /* encoded, at most */

enum { COMMAND_RESET, COMMAND_HANG, COMMAND_ECHO };

typedef struct {
  uint8_t kind;
  union {
    uint16_t Echo;
  } as;
} Command;

static inline void Command_encode(bowline_writer *w, const Command *v) {
  bowline_put_uint(w, (*v).kind);
  if ((*v).kind == 2) {
    bowline_put_uint(w, (*v).as.Echo);
  }
}

/* False: this is none. */
static inline bool Command_decode(Command *v, const void *payload, size_t size) {
  bowline_reader reader = { payload, (const uint8_t *)payload + size, false }, *r = &reader;
  (*v).kind = (uint8_t)bowline_get_uint(r, 2);
  if ((*v).kind == 2) {
    (*v).as.Echo = (uint16_t)bowline_get_uint(r, UINT16_MAX);
  }
  return !r->failed && r->at == r->end;
}

#endif
