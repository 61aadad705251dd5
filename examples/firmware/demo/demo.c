#include "demo.h"

#include "messages.h"

enum { IMU, STATUS, SETPOINT, COMMAND };

static const bowline_route routes[] = {
  [IMU] = { .type = IMU_TYPE, .path = "robot.mcu.imu", .fingerprint = IMU_FINGERPRINT, .kind = BOWLINE_INTENT },
  [STATUS] = { .type = STATUS_TYPE, .path = "robot.mcu.status", .fingerprint = STATUS_FINGERPRINT, .kind = BOWLINE_INTENT },
  [SETPOINT] = { .type = SETPOINT_TYPE, .path = "robot.mcu.setpoint", .fingerprint = SETPOINT_FINGERPRINT,
                 .kind = BOWLINE_INTEREST, .delivery = BOWLINE_LATEST },
  [COMMAND] = { .type = COMMAND_TYPE, .path = "robot.mcu.command", .fingerprint = COMMAND_FINGERPRINT,
                .kind = BOWLINE_INTEREST, .delivery = BOWLINE_LOSSLESS, .depth = 4 },
};

static uint8_t receive[160], transmit[384], stream[320], message[32];
static bowline_config config;
static bowline link;
static demo_board board;

static Imu imu;
static Status status;
static uint64_t now, imu_due, status_due, setpoint_came;
static Command asked;

static void sample(void *user, uint8_t route, const bowline_sample *sample) {
  Setpoint setpoint;
  (void)user;
  if (route == SETPOINT && Setpoint_decode(&setpoint, sample->payload, sample->size)) {
    status.setpoints++;
    status.lost += sample->lost;
    status.last = setpoint.count;
    status.age = sample->age;
    status.stopped = false;
    setpoint_came = now;
  }
  if (route == COMMAND && Command_decode(&asked, sample->payload, sample->size)) {
    status.commands++;
    if (asked.kind == COMMAND_ECHO) status.echo = asked.as.Echo;
    if (asked.kind == COMMAND_RESET) board.reset();
    if (asked.kind == COMMAND_HANG) board.hang();
  }
}

void demo_start(const demo_board *with, uint64_t at) {
  board = *with;
  config = (bowline_config){
    .path = "robot.mcu", .instance = board.instance, .routes = routes, .route_count = sizeof routes / sizeof *routes,
    .read = board.read, .write = board.write, .sample = sample,
    .receive = receive, .receive_size = sizeof receive, .transmit = transmit, .transmit_size = sizeof transmit,
    .stream = stream, .stream_size = sizeof stream, .message = message, .message_size = sizeof message,
    .baud = 115200, .ping_millis = 1000,
  };
  if (!bowline_init(&link, &config, at)) board.hang();
  imu_due = status_due = at;
  status.stopped = true;
}

/* A wave between -1 and 1, one in four seconds; no library of mathematics is needed for a demonstration. */
static float wave(uint64_t at) {
  int32_t x = (int32_t)(at / 1000 % 4000) - 2000;
  return (float)((x < 0 ? -x : x) - 1000) / 1000;
}

void demo_step(uint64_t at) {
  uint8_t payload[IMU_SIZE > STATUS_SIZE ? IMU_SIZE : STATUS_SIZE];
  bowline_writer w = { payload, payload + sizeof payload, false };
  now = at;
  bowline_poll(&link, at);
  if (at - setpoint_came > 200000) status.stopped = true;
  if (at >= imu_due) {
    imu_due += 10000;
    if (at >= imu_due) imu_due = at + 10000;
    imu.gyro[2] = wave(at);
    imu.accel[0] = wave(at + 1000000);
    imu.accel[2] = 9.81f;
    Imu_encode(&w, &imu);
    bowline_send(&link, IMU, payload, (size_t)(w.at - payload));
    imu.count++;
  }
  if (at >= status_due) {
    status_due = at + 100000;
    status.noise = link.counts.noise;
    status.repeats = link.counts.repeats;
    w.at = payload;
    Status_encode(&w, &status);
    bowline_send(&link, STATUS, payload, (size_t)(w.at - payload));
  }
}
