/* bowline for microcontrollers: one peer over one serial line. C99, no heap; of libc only memcpy.
 *
 * The protocol is src/wire/PROTOCOL.md. The board is the side that is dialled: an endpoint connects
 * to `serial:///dev/ttyUSB0/robot.mcu?baud=115200`, and all that the board declares in its table of
 * routes is then known there.
 *
 *   static uint8_t receive[256], transmit[512], stream[512];
 *   static const bowline_route routes[] = {
 *     { .type = "Imu", .path = "robot.mcu.imu", .fingerprint = IMU_FINGERPRINT, .kind = BOWLINE_INTENT },
 *     { .type = "Setpoint", .path = "robot.mcu.set", .fingerprint = SETPOINT_FINGERPRINT,
 *       .kind = BOWLINE_INTEREST, .delivery = BOWLINE_LATEST },
 *   };
 *   bowline_init(&link, &config, now());
 *   for (;;) {
 *     bowline_poll(&link, now());
 *     if (a sample is due) bowline_send(&link, 0, payload, size);
 *   }
 *
 * Nothing here waits, and every call returns in a time bounded by the sizes of the buffers. Call all
 * functions from one place (the main loop); interrupts only fill and drain what `read` and `write` use. */
#ifndef BOWLINE_H
#define BOWLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pairs of one intent and one interest that can be linked at once, each way; at most 32. A pair takes
 * 48 bytes. An interest beyond them is refused, and the peer told. */
#ifndef BOWLINE_PAIRS
#define BOWLINE_PAIRS 6
#endif

enum { BOWLINE_INTENT, BOWLINE_INTEREST };
enum { BOWLINE_LATEST, BOWLINE_QUEUE, BOWLINE_LOSSLESS };
enum { BOWLINE_EXCLUSIVE = 1 };

/* What the board supplies or wants. At most 32, and the table must stay as it is. */
typedef struct {
  const char *type;       /* of the message: what stands before the `@` of the route */
  const char *path;       /* of a hashed route: its prefix */
  const uint8_t *digest;  /* of a hashed route: 32 bytes. NULL: a plain one */
  const char *codec;      /* NULL: "bincode-2" */
  uint64_t fingerprint;   /* of the message's schema */
  uint8_t kind;           /* BOWLINE_INTENT or BOWLINE_INTEREST */
  uint8_t flags;          /* of an intent: 0 or BOWLINE_EXCLUSIVE */
  uint8_t delivery;       /* of an interest */
  uint32_t depth;         /* of an interest by queue or lossless; 0 counts as 1 */
} bowline_route;

/* A sample as it came. The payload is gone when the callback returns. */
typedef struct {
  const uint8_t *payload;
  size_t size;
  uint32_t number;        /* of the sample among those of its sender, from 0 */
  uint32_t lost;          /* how many are missing right before it */
  uint32_t age;           /* in microseconds: its wait at the sender and half a round trip */
} bowline_sample;

typedef enum {
  BOWLINE_UP,             /* the peer is there */
  BOWLINE_DOWN,           /* it is not: `what` is the code of the BYE, 0 if it began anew */
  BOWLINE_WANTED,         /* somebody wants intent `what` */
  BOWLINE_UNWANTED,       /* one who wanted it does no more */
  BOWLINE_MISMATCH        /* the schema of route `what` differs from the peer's: not linked */
} bowline_event;

typedef struct {
  const char *path;       /* of this endpoint: `robot.mcu` */
  const char *peer;       /* the only one to talk to; NULL: any */
  const uint8_t *instance;        /* 16 bytes, other ones at each start */
  const bowline_route *routes;
  uint8_t route_count;

  /* Gives at most `room` bytes that came, or writes at most `size` bytes; says how many. Must not wait. */
  size_t (*read)(void *user, uint8_t *bytes, size_t room);
  size_t (*write)(void *user, const uint8_t *bytes, size_t size);
  /* May be NULL. bowline_send and bowline_close may be called within. */
  void (*sample)(void *user, uint8_t route, const bowline_sample *sample);
  void (*event)(void *user, bowline_event event, uint8_t what);
  void *user;

  uint8_t *receive;       /* one packet: the largest sample of `latest` or `queue` and 16 bytes, at least 80 */
  uint16_t receive_size;
  uint8_t *transmit;      /* encoded packets on their way: at least 96; two large ones let others pass meanwhile */
  uint16_t transmit_size;
  uint8_t *stream;        /* what the peer has not acknowledged: at least 192, and two entries of the table */
  uint16_t stream_size;
  uint8_t *message;       /* the largest lossless sample, or one that comes in fragments; NULL: none of them */
  uint16_t message_size;

  uint32_t baud;          /* of the line; 0: not known, and samples seem younger than they are */
  uint32_t ping_millis;   /* 0: 1000. The peer is given up after 3.5 of them in silence */
  bool scope_own;         /* wishes that each side supplies only routes below its own path */
} bowline_config;

typedef enum {
  BOWLINE_SENT,
  BOWLINE_NOBODY,         /* there is nobody who wants it */
  BOWLINE_DROPPED,        /* the line is busy: dropped, and counted, for who wants it by latest or queue */
  BOWLINE_BUSY,           /* a lossless interest has no room: nothing was sent, try again later */
  BOWLINE_TOO_LARGE       /* for the buffers, for the peer, or above 1019 bytes */
} bowline_result;

/* What went wrong so far; for a look with the debugger, or a message of one's own. */
typedef struct {
  uint32_t noise;         /* frames that were broken on the line, or no frames at all */
  uint32_t malformed;     /* whole packets that made no sense */
  uint32_t repeats;       /* times the stream had to be sent again */
  uint32_t dropped;       /* samples given to bowline_send that the line had no room for */
  uint32_t lost;          /* samples of the peer lost on the line, or too large */
} bowline_counts;

/* From here on: inside. */
typedef struct {          /* reads fields out of bytes that may be cut anywhere */
  uint8_t step, at, text, tag;
  uint16_t place;         /* within the text */
  uint16_t entries;
  uint32_t left;          /* bytes of the frame to come */
  uint32_t count;         /* bytes of the text to come, or of the payload so far */
  uint32_t mask;          /* routes an entry may still be of */
  const uint8_t *rest;
  uint32_t value, high, kept[4];
} bowline_cursor;

typedef struct {          /* an intent of ours and an interest of the peer; its place is its alias */
  uint8_t state, delivery, dirty;
  uint32_t route, yours, alias, mark, next, limit;
  uint32_t count, tallied, dropped, unsaid;     /* of loose samples; they go on when the alias is used anew */
} bowline_outlet;

typedef struct {          /* an intent of the peer and an interest of ours; its place is the peer's alias */
  uint8_t open, due;
  uint32_t route, alias, next, granted, lost, said, missing;
  uint32_t expected, dropped;           /* of loose samples; they go on */
} bowline_inlet;

typedef struct {          /* what is used most stands first, for that makes the code smaller */
  const bowline_config *config;
  uint32_t received;
  uint16_t head, tail;
  uint8_t cobs_code, cobs_left;
  /* Of one link, all 0 at its begin but `now`: */
  uint8_t state, told, segments, rewound, hungry, alive, timing;
  uint16_t packet, largest;       /* packet content, frame of a MESSAGE, that the peer takes */
  uint32_t todo;
  uint8_t *to;                    /* what is written: where, how much, and for how much there is room */
  uint32_t n, room;
  uint32_t una, end, window, rto, rto_at;         /* the stream that goes */
  uint32_t ack_at, heard, deadline, ping_at, credit_at, round_trip;
  uint64_t now, sent;             /* from here on are the numbers that are said */
  uint32_t nxt, next;             /* of the stream that goes; that comes */
  uint32_t token, bye, refused, refused_route;
  uint64_t echo[2], received_at[2];
  /* Of all links: */
  uint64_t session, instance[2];
  uint32_t own_packet, own_window, ping_millis, scope;
  uint32_t last_ping;
  uint8_t packet_head[32];
  /* Of one link: */
  uint64_t clock;
  uint32_t ping_sent;
  bowline_cursor cursor;  /* of the stream that comes */
  bowline_outlet outlets[BOWLINE_PAIRS];
  bowline_inlet inlets[BOWLINE_PAIRS];
  /* Of all links: */
  uint32_t reset_at;
  bowline_counts counts;
} bowline;

/* Begins. `config` and all it points to must stay. `now` is in microseconds and never goes back; it may begin
 * at 0. False: a buffer is too small for the table of routes. */
bool bowline_init(bowline *b, const bowline_config *config, uint64_t now);

/* Does all there is to do: takes what came, calls `sample` and `event`, gives out what is to go. To be called
 * often: at least every 10 ms, and before the hardware's buffers are full. */
void bowline_poll(bowline *b, uint64_t now);

/* Sends to everyone who wants `route`, an index into the table. */
bowline_result bowline_send(bowline *b, uint8_t route, const void *payload, size_t size);

/* True once the handshake is done, until the peer is gone. */
bool bowline_is_up(const bowline *b);

/* Says BYE Closing; poll for another 250 ms, for it has to go out. The peer may dial again. */
void bowline_close(bowline *b);

/* bincode 2, standard configuration. Past the end nothing is written or read and `failed` is set:
 * look at it once, at the end. A reader that is to take the whole payload ends with at == end. */
typedef struct {
  uint8_t *at, *end;
  bool failed;
} bowline_writer;

typedef struct {
  const uint8_t *at, *end;
  bool failed;
} bowline_reader;

void bowline_put_u8(bowline_writer *w, uint8_t value);        /* also bool and i8 */
void bowline_put_uint(bowline_writer *w, uint64_t value);     /* u16 to u64, lengths, variants */
void bowline_put_int(bowline_writer *w, int64_t value);       /* i16 to i64 */
void bowline_put_f32(bowline_writer *w, float value);
void bowline_put_f64(bowline_writer *w, double value);
void bowline_put_bytes(bowline_writer *w, const void *bytes, size_t size);  /* no length before them */

uint8_t bowline_get_u8(bowline_reader *r);
bool bowline_get_bool(bowline_reader *r);                     /* fails for all but 0 and 1 */
uint64_t bowline_get_uint(bowline_reader *r, uint64_t most);  /* fails above `most` */
int64_t bowline_get_int(bowline_reader *r, uint64_t most);    /* fails below -most - 1 and above most */
float bowline_get_f32(bowline_reader *r);
double bowline_get_f64(bowline_reader *r);
void bowline_get_bytes(bowline_reader *r, void *bytes, size_t size);

#endif
