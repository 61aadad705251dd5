/* See bowline.h, and src/wire/PROTOCOL.md for every byte.
 *
 *   read() ─ COBS, CRC ─ packet_in ─┬─ SEGMENT ─ eat(cursor of the stream) ─ field, whole ─► what is to do
 *                                   └─ others ── eat(a cursor of its own) ── field, whole ─► what is to do
 *   what is to do ─ fill ─► frames in `stream` ─ SEGMENT ─┐
 *   bowline_send ─ MESSAGE ───────────────────────────────┴─ packet_out ─ CRC, COBS ─ `transmit` ─► write()
 *
 * Whatever comes is read byte by byte by one table of fields, so that a frame may be of any length and cut
 * anywhere. Times are compared in 32 bits of microseconds. */
#include "bowline.h"

#ifdef __GNUC__
#define APART __attribute__((noinline))         /* copies of it would cost more than the call */
#else
#define APART
#endif

void *memcpy(void *to, const void *from, size_t size);

/* ---- constants of the protocol ---- */

enum {
  HANDSHAKE = 1, BYE, PING, PONG, INTENTS, INTERESTS, NOTIFY, CREDIT, TIME, GAP, END, LOST = 0x0E, STREAM_TALLY,
  MESSAGE = 0x20,
};
enum { OPEN = 1, RETRY, OPENED, RESET, SEGMENT, ACK, PACKET_PING, PACKET_PONG, TALLY, FRAGMENT, GROUP };
enum {
  NO_FAULT, CLOSING, DUPLICATE, NOT_BOWLINE, VERSION, WRONG_IDENTITY, HANDSHAKE_TIMEOUT, MALFORMED, TOO_LARGE,
  UNKNOWN_KIND, UNKNOWN_ALIAS, SILENT = 12, NO_CREDIT = 16,
  STOP = 0x100,                 /* no fault, but what was being read is over */
};
enum {
  MAX_FRAME = 1024, SMALLEST_FRAME = 64,
  SMALLEST_PACKET = 64,
  HANDSHAKE_MICROS = 2000000, BYE_MICROS = 250000, SECOND = 1000000, RTO_MOST = 2000000,
};
#define NUMBERS 0x80000000u             /* after so many samples of a pair the link begins anew */
#define CRC_GOOD 0xB798B438u            /* of anything with its own checksum behind it, before the last inversion */

/* Of a route: 0 the type, 1 the path, 2 the digest, 3 the codec. Of the configuration: 0 the path, 1 the peer, 2 the
 * instance. */
APART static const char *name(const void *of, unsigned which) {
  const char *found;
  memcpy(&found, (const uint8_t *)of + which * sizeof found, sizeof found);
  return which == 3 && !found ? "bincode-2" : found;
}

/* ---- states ---- */

enum { IDLE, LEAVING, OPENED_UP, SHAKING, UP };         /* of the link */
enum { FREE, NEW, ASSIGNED, FLOWING, ENDING, TALLIED, ENDED, PINGED };  /* of an outlet */
enum {                                                  /* what is to do, in this order: packets, then frames */
  DO_RESET = 1, DO_OPENED = 2, DO_ACK = 4, DO_PONG = 8, DO_PING = 16, PACKETS = 5,
  DO_INITIAL = 32, DO_FINAL = 64, DO_BYE = 128, DO_REFUSE = 256, DO_STREAM_PONG = 512, ALL_FRAMES = 10,
  DO_TALLY = 1024,
};

/* ---- numbers ---- */

static size_t length(const char *text) {
  size_t n = 0;
  while (text && text[n]) n++;
  return n;
}

/* Bit by bit: 40 cycles a byte on a Cortex-M3, which is 1 % of one of 48 MHz at 115200 baud. A table is faster, and larger. */
APART static uint32_t crc_add(uint32_t crc, uint32_t byte) {
  unsigned i;
  crc ^= byte;
  for (i = 0; i < 8; i++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
  return crc;
}

static bool passed(const bowline *b, uint32_t time) { return (int32_t)((uint32_t)b->now - time) >= 0; }

static uint32_t later(const bowline *b, uint32_t micros) { return (uint32_t)b->now + micros; }

/* How long `bytes` take on the line, in microseconds. */
APART static uint32_t line_micros(const bowline *b, uint32_t bytes) {
  return b->config->baud ? bytes * 10000 / (b->config->baud / 1000 + 1) : 0;
}

static uint32_t rto_least(const bowline *b) {
  return 100000 + line_micros(b, b->config->transmit_size + 2u * b->config->receive_size);
}

static void tell(bowline *b, bowline_event event, uint32_t what) {
  if (b->config->event) b->config->event(b->config->user, event, (uint8_t)what);
}

APART static void clear(void *at, size_t size) {
  volatile uint8_t *byte = at;          /* or it is made a call of memset */
  while (size--) *byte++ = 0;
}

/* How long what is given out now has to wait for what is ahead of it. */
APART static uint32_t wait_micros(const bowline *b) { return line_micros(b, (uint32_t)(b->tail - b->head)); }

/* ---- what is written: n bytes at `to`, and no more than fits; one byte of `room` always stays free ---- */

APART static void put1(bowline *b, unsigned byte) {
  if (b->n + 1 < b->room) b->to[b->n] = (uint8_t)byte;
  b->n++;
}

APART static void put(bowline *b, unsigned size, uint32_t value) {
  for (; size; size--, value >>= 8) put1(b, value);
}

APART static void put_var(bowline *b, uint32_t value) {
  for (; value > 0x7F; value >>= 7) put1(b, value | 0x80);
  put1(b, value);
}

static void put_raw(bowline *b, const void *from, size_t size) {
  const uint8_t *byte = from;
  while (size--) put1(b, *byte++);
}

APART static void put_text(bowline *b, const char *text) {
  size_t n = length(text);
  put_var(b, (uint32_t)n);
  put_raw(b, text, n);
}

/* A form says what a frame or packet holds: its tag, then what stands there, each with what it is from, and 0. */
#define BYTES(n) (n)                            /* so many bytes, which follow in the form */
#define OF(op, type, from, field) (uint8_t)((op) << 5 | (offsetof(type, field) - offsetof(type, from)) / 4)
#define OUR2(field) OF(1, bowline, now, field)  /* numbers of the link: of two bytes, of four, of eight, varints */
#define OUR4(field) OF(2, bowline, now, field)
#define OUR8(field) OF(4, bowline, now, field)
#define OUR_VAR(field) OF(3, bowline, now, field)
#define OUT_VAR(field) OF(3, bowline_outlet, route, field)
#define IN_VAR(field) OF(3, bowline_inlet, route, field)

static const struct forms {
  uint8_t reset[5], opened[8], ack[4], segment[3], pong[5], ping[3];
  uint8_t initial[33], bye[5], final[10], refuse[9], stream_pong[5];
  uint8_t time[3], linked[7], tally[5], stream_tally[5], end[3], stream_ping[3];
  uint8_t credit[6], credit_all[16];
} forms = {
  { RESET, BYTES(2), 0, 0, 0 },
  { OPENED, BYTES(1), 1, OUR4(token), OUR4(session), OUR2(own_packet), OUR4(own_window), 0 },
  { ACK, OUR4(next), OUR4(own_window), 0 },
  { SEGMENT, OUR4(nxt), 0 },
  { PACKET_PONG, OUR8(echo[0]), OUR8(received_at[0]), OUR8(sent), 0 },
  { PACKET_PING, OUR8(sent), 0 },
  { HANDSHAKE, BYTES(11), 0, 'B', 'W', 'L', 'N', 1, 1, 0, 0, 0, 0, OUR8(instance[0]), OUR8(instance[1]),
    BYTES(8), 0, 0, 0, 0, 0, 0, 0, 0, OUR_VAR(scope), BYTES(4), 0, MAX_FRAME >> 8, 0, 0, OUR4(ping_millis), OUR8(now), 0 },
  { BYE, OUR_VAR(bye), BYTES(1), 0, 0 },
  { HANDSHAKE, BYTES(6), 1, 1, 0, 0, 0, 0, OUR8(session), 0 },
  { NOTIFY, BYTES(2), 1, 1, OUR_VAR(refused_route), OUR_VAR(refused), BYTES(1), 0, 0 },
  { PONG, OUR8(echo[1]), OUR8(received_at[1]), OUR8(sent), 0 },
  { TIME, OUR8(now), 0 },
  { NOTIFY, BYTES(1), 0, OUT_VAR(route), OUT_VAR(yours), OUT_VAR(alias), 0 },
  { TALLY, OUT_VAR(alias), OUT_VAR(count), OUT_VAR(dropped), 0 },
  { STREAM_TALLY, OUT_VAR(alias), OUT_VAR(count), OUT_VAR(dropped), 0 },
  { END, OUT_VAR(alias), 0 },
  { PING, OUR8(sent), 0 },
  { CREDIT, IN_VAR(alias), IN_VAR(granted), IN_VAR(next), IN_VAR(lost), 0 },
  { CREDIT, IN_VAR(alias), BYTES(10), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, IN_VAR(next), IN_VAR(lost), 0 },
};
#define FORM(name) (uint8_t)offsetof(struct forms, name)

/* Writes what a form says; `from` is the first of the numbers it is about. */
static void compose(bowline *b, unsigned form, const void *from) {
  const uint8_t *at = (const uint8_t *)&forms + form;
  unsigned op;
  put1(b, *at++);
  while ((op = *at++)) {
    unsigned size = op >> 5;            /* half of it */
    const uint8_t *number = (const uint8_t *)from + (op & 31) * 4;
    uint32_t value;
    memcpy(&value, number, 4);
    if (!size) {
      while (op--) put1(b, *at++);
    } else if (size == 3) {
      put_var(b, value);
    } else {
      if (size == 4) {
        uint64_t whole;
        memcpy(&whole, number, 8);
        put(b, 4, (uint32_t)whole);
        value = (uint32_t)(whole >> 32);
        size = 2;
      }
      put(b, 2 * size, value);
    }
  }
}

/* memcpy may not be used for what overlaps. */
APART static void move_down(uint8_t *to, size_t by, size_t end) {
  for (end -= by; end; end--, to++) *to = to[by];
}

typedef struct {
  uint8_t *at, *code;
} cobs;

static void cobs_put(cobs *c, uint8_t byte) {
  if (byte) *c->at++ = byte;
  if (!byte || c->at - c->code == 255) {
    *c->code = (uint8_t)(c->at - c->code);
    c->code = c->at++;
  }
}

/* At most what a packet takes on the line, with its CRC and a bit more than COBS needs. */
APART static size_t encoded(size_t size) { return size + (size >> 7) + 2; }

/* Encodes a packet of what was written and `body` into `transmit`, if there is room: all of it or nothing. */
static bool packet_out(bowline *b, const uint8_t *body, size_t body_size) {
  uint8_t *transmit = b->config->transmit;
  size_t size = b->n + body_size + 4, most = encoded(size), i;
  uint32_t crc = 0xFFFFFFFF;
  cobs c;

  if (b->tail + most > b->config->transmit_size) {
    move_down(transmit, b->head, b->tail);
    b->tail -= b->head;
    b->head = 0;
    if (b->tail + most > b->config->transmit_size) return false;
  }
  c.code = transmit + b->tail;
  c.at = c.code + 1;
  for (i = 0; i < size; i++) {
    unsigned byte;
    if (i < size - 4) {
      byte = i < b->n ? b->packet_head[i] : body[i - b->n];
      crc = crc_add(crc, byte);
    } else {
      byte = ~crc & 0xFF;
      crc = crc >> 8 | 0xFF000000;
    }
    cobs_put(&c, (uint8_t)byte);
  }
  *c.code = (uint8_t)(c.at - c.code);
  *c.at++ = 0;
  b->tail = (uint16_t)(c.at - transmit);
  return true;
}

APART static void say(bowline *b, unsigned form) { compose(b, form, &b->now); }

/* Begins what is written. `sent` is when it gets on the line. */
APART static void begin(bowline *b, uint8_t *to, uint32_t room) {
  b->to = to;
  b->room = room;
  b->n = 0;
  b->sent = b->now + wait_micros(b);
}

/* Begins a packet: all of it, or what stands before its body. */
APART static void packet(bowline *b) { begin(b, b->packet_head, sizeof b->packet_head); }

static void drain(bowline *b) {
  while (b->head < b->tail) {
    size_t n = b->config->write(b->config->user, b->config->transmit + b->head, (size_t)(b->tail - b->head));
    if (!n) return;
    b->head = (uint16_t)(b->head + n);
  }
  b->head = b->tail = 0;
}

static unsigned age_code(uint32_t micros) {
  uint32_t units = micros / 64, e = 0;
  if (units < 16) return units;
  for (e = 1; units > 31; e++) units >>= 1;
  return e > 10 ? 0xAE : (e << 4) + units - 16;      /* longer ones do not come from this line */
}

static uint32_t age_micros(uint32_t code) {
  uint32_t e = code >> 4, m = code & 15;
  return (e ? (16 + m) << (e - 1) : m) * 64;
}

/* ---- the stream out ---- */

/* Begins a frame behind the others. */
static void frame(bowline *b) {
  uint32_t used = b->end - b->una;
  begin(b, b->config->stream + used, b->config->stream_size - used);
  b->n = 1;                     /* its length */
}

/* It belongs to the stream now, if there was room for it. */
static bool commit(bowline *b) {
  uint32_t size = b->n, i;
  if (size >= b->room) return false;
  b->end += size;
  size--;
  b->to[0] = (uint8_t)size;
  if (size > 0x7F) {            /* the length takes another byte */
    for (i = size; i; i--) b->to[i + 1] = b->to[i];
    b->to[0] |= 0x80;
    b->to[1] = (uint8_t)(size >> 7);
    b->end++;
  }
  return true;
}

static bool frame_of(bowline *b, unsigned form, const void *from) {
  frame(b);
  compose(b, form, from);
  return commit(b);
}

static uint32_t depth(const bowline_route *route) { return route->depth ? route->depth : 1; }

/* CREDIT, if there is room for it now. */
static void credit(bowline *b, bowline_inlet *in) {
  const bowline_route *route = b->config->routes + in->route;
  bool lossless = route->delivery == BOWLINE_LOSSLESS;
  in->granted = lossless ? in->next + depth(route) : ~(uint32_t)0;
  if (frame_of(b, lossless ? FORM(credit) : FORM(credit_all), &in->route)) {
    in->said = in->lost;
    in->due = 0;
  }
}

/* ---- samples in ---- */

/* Says BYE and waits for it to go out. */
static void leave(bowline *b, uint32_t code) {
  if (b->state <= LEAVING) return;
  b->state = LEAVING;
  b->bye = code;
  b->todo |= DO_BYE;
  b->deadline = later(b, BYE_MICROS);
}

/* The inlet of an alias. Only as many aliases are taken as there are inlets: the smallest free one is used first. */
static bowline_inlet *inlet(bowline *b, uint32_t alias) {
  return alias < BOWLINE_PAIRS && b->inlets[alias].open ? b->inlets + alias : NULL;
}

/* The next `missing` samples will not come, of which the sender dropped `dropped`. */
static void loss(bowline *b, bowline_inlet *in, uint32_t missing, uint32_t dropped) {
  uint32_t lost = dropped < missing ? missing - dropped : 0;
  in->next += missing;
  in->missing += missing;
  in->lost += lost;
  b->counts.lost += lost;
}

static void deliver(bowline *b, bowline_inlet *in, const uint8_t *payload, size_t size, uint32_t age) {
  const bowline_route *route = b->config->routes + in->route;
  bowline_sample sample;
  sample.payload = payload;
  sample.size = size;
  sample.number = in->next++;
  sample.lost = in->missing;
  sample.age = age + b->round_trip / 2;
  in->missing = 0;
  if (route->delivery == BOWLINE_LOSSLESS && in->granted - in->next <= depth(route) / 2) in->due = 1;
  if (b->config->sample) b->config->sample(b->config->user, (uint8_t)in->route, &sample);
}

/* Counts what the order of a sample says is missing before it. */
static void ordered(bowline *b, bowline_inlet *in, uint32_t order, uint32_t more) {
  uint32_t number = (order & 0x7F) | (more & 0x7F) << 7, dropped = more >> 7;
  uint32_t missing = (number - in->expected) & (order & 0x80 ? 0x3FFF : 0x7F);
  in->dropped += dropped;
  in->expected += missing + 1;
  loss(b, in, missing + dropped, dropped);
}

/* ---- bytes in: what the fields are ---- */

/* Whole numbers below V32 have their size as form. RAW has the size that stands as its limit. With SOME
 * added, 0 and an empty text will not do. */
enum { V32 = 9, V64, TEXT, RAW, REST, LAST, SOME = 16 };

/* What is to be done when a field is whole, beside keeping it. */
enum {
  NOTHING, IS_LENGTH, IS_TAG, IS_PHASE, IS_MAGIC, IS_ROOM, IS_SESSION, IS_CLOCK, IS_COUNT, IS_ID, IS_FORM, IS_PATH, IS_PRINT,
  IS_DEPTH, IS_NOTICE, IS_ORDER,
};

/* X(name, form, what is to be done; where it is kept: 1 to 4, or 0; the largest number or length, or 0 for any) */
#define FIELDS(X) \
  X(S_LENGTH, V32 + SOME, IS_LENGTH, 0, 0) X(S_TAG, V32, IS_TAG, 0, 0) \
  X(H_PHASE, 1, IS_PHASE, 0, 1) X(H_MAGIC, 4, IS_MAGIC, 0, 0) X(H_MIN, 1 + SOME, 0, 1, 0) X(H_MAX, 1, 0, 2, 0) \
  X(H_CAPABILITIES, 4, 0, 0, 0) X(H_INSTANCE, RAW, 0, 0, 16) X(H_SESSION, 8, 0, 0, 0) X(H_FLAGS, 1, 0, 0, 0) \
  X(H_FRAME, 4, IS_ROOM, 0, 0) X(H_PING, 4 + SOME, 0, 0, 0) X(H_CLOCK, 8, 0, 0, 0) X(H_PATH, TEXT + SOME, 0, 0, 255) \
  X(H_EXPECTED, TEXT, 0, 0, 0) X(H_MORE, REST, 0, 0, 0) \
  X(F_VERSION, 1 + SOME, 0, 0, 1) X(F_CAPABILITIES, 4, 0, 1, 0) X(F_SESSION, 8, IS_SESSION, 0, 0) X(F_LAST, LAST, 0, 0, 0) \
  X(B_CODE, 1, 0, 1, 0) X(B_TEXT, TEXT, 0, 0, 512) X(B_LAST, LAST, 0, 0, 0) \
  X(T_CLOCK, 8, IS_CLOCK, 0, 0) X(T_LAST, LAST, 0, 0, 0) \
  X(P_ECHO, 8, 0, 1, 0) X(P_RECEIVED, 8, 0, 2, 0) X(P_SENT, 8, 0, 3, 0) X(P_LAST, LAST, 0, 0, 0) \
  X(I_COUNT, V32, IS_COUNT, 0, 4096) X(I_OP, 1, 0, 1, 2) X(I_ID, V32, IS_ID, 2, 0) X(I_FORM, 1, IS_FORM, 3, 1) \
  X(I_TYPE, TEXT + SOME, 0, 0, 127) X(I_PATH, TEXT + SOME, IS_PATH, 0, 255) X(I_DIGEST, RAW, IS_PATH, 0, 32) \
  X(I_CODEC, TEXT, 0, 0, 32) X(I_LEASE, 4, 0, 0, 0) X(I_DELIVERY, 1, 0, 4, 0) X(I_DEPTH, V32 + SOME, IS_DEPTH, 0, 0) X(I_ONLY, V32, IS_DEPTH, 0, 0) \
  X(I_LAST, LAST, 0, 0, 0) X(I_PRINT, 8, IS_PRINT, 0, 0) \
  X(N_NOTICE, 1, IS_NOTICE, 3, 3) X(N_MINE, V32, 0, 0, 0) X(N_YOURS, V32, 0, 1, 0) X(N_ALIAS, V32, 0, 2, 16383) \
  X(N_LAST, LAST, 0, 0, 0) \
  X(W_SUPPLIER, 1, 0, 0, 1) X(W_MINE, V32, 0, 0, 0) X(W_YOURS, V32, 0, 1, 0) X(W_TEXT, TEXT, 0, 0, 512) X(W_LAST, LAST, 0, 0, 0) \
  X(V_SUPPLIER, 1, 0, 0, 1) X(V_MINE, V32, 0, 0, 0) X(V_YOURS, V32, 0, 1, 0) X(V_SCHEMA, TEXT, 0, 0, 16384) \
  X(V_LAST, LAST, 0, 0, 0) \
  X(C_ALIAS, V32, 0, 1, 16383) X(C_LIMIT, V64, 0, 2, 0) X(C_TAKEN, V64, 0, 3, 0) X(C_LOST, V64, 0, 4, 0) X(C_LAST, LAST, 0, 0, 0) \
  X(G_ALIAS, V32, 0, 1, 16383) X(G_COUNT, V64, 0, 2, 0) X(G_LAST, LAST, 0, 0, 0) \
  X(E_ALIAS, V32, 0, 1, 16383) X(E_LAST, LAST, 0, 0, 0) \
  X(Y_ALIAS, V32, 0, 1, 16383) X(Y_NEXT, V64, 0, 2, 0) X(Y_DROPPED, V64, 0, 3, 0) X(Y_LAST, LAST, 0, 0, 0) \
  X(M_STAMP, 2, 0, 0, 0) X(M_PAYLOAD, REST, 0, 0, 0) \
  X(X_SKIP, REST, 0, 0, 0) \
  X(O_MAGIC, 4, IS_MAGIC, 0, 0) X(O_VERSION, 1 + SOME, 0, 0, 1) X(O_TOKEN, 4, 0, 1, 0) X(O_PACKET, 2, 0, 2, 0) X(O_WINDOW, 4, 0, 3, 0) \
  X(O_COOKIE, TEXT, 0, 0, 32) X(O_MORE, REST, 0, 0, 0) \
  X(A_NEXT, 4, 0, 1, 0) X(A_WINDOW, 4, 0, 2, 0) X(A_RANGES, REST, 0, 0, 0) \
  X(D_OFFSET, 4, 0, 1, 0) X(D_BYTES, REST, 0, 0, 0) \
  X(L_ORDER, 1, IS_ORDER, 2, 0) X(L_MORE, V32, 0, 3, 0) X(L_AGE, 1, IS_ORDER, 0, 0) X(L_LONG, V64, 0, 4, 0) X(L_PAYLOAD, REST, 0, 0, 0)

#define NAME(name, form, what, keep, most) name,
#define LIMIT(most) \
  ((most) == 0 ? 0 : (most) == 1 ? 1 : (most) == 2 ? 2 : (most) == 3 ? 3 : (most) == 4 ? 4 : (most) == 5 ? 5 \
   : (most) == 16 ? 6 : (most) == 32 ? 7 : (most) == 127 ? 8 : (most) == 255 ? 9 : (most) == 512 ? 10 : (most) == 4096 ? 11 \
   : (most) == 16383 ? 12 : 13)
#define ROW(name, form, what, keep, most) (form) | (keep) << 5 | LIMIT(most) << 8 | (what) << 12,
enum { FIELDS(NAME) };
static const uint16_t limits[] = { 0, 1, 2, 3, 4, 5, 16, 32, 127, 255, 512, 4096, 16383, 16384 };
static const uint16_t fields[] = { FIELDS(ROW) };

static unsigned form_of(unsigned step) { return fields[step] & 15; }

/* The first field of each kind of the stream and of each packet; 0: there is none such. */
static const uint8_t stream_kinds[] = {
  0, H_PHASE, B_CODE, T_CLOCK, P_ECHO, X_SKIP, I_COUNT, N_NOTICE, C_ALIAS, T_CLOCK, G_ALIAS, E_ALIAS, 0, 0, G_ALIAS, Y_ALIAS,
};
static const uint8_t packet_kinds[] = {
  X_SKIP, O_MAGIC, X_SKIP, X_SKIP, X_SKIP, D_OFFSET, A_NEXT, T_CLOCK, P_ECHO, Y_ALIAS,
};

/* The first field of each notice. */
static const uint8_t notices[] = { N_MINE, W_SUPPLIER, V_SUPPLIER, W_YOURS };

/* Packets are told from frames of the stream by this, added to their tags. A cursor has tags below 0x20; all MESSAGEs
 * are one, with their alias apart. */
enum { PACKET = 0x10 };

static void go(bowline_cursor *c, unsigned step) {
  unsigned form = form_of(step);
  c->step = (uint8_t)step;
  c->at = 0;
  c->value = c->high = 0;
  c->place = 0;
  c->count = 0;
  c->text = form == RAW;
  if (c->text) c->count = limits[fields[step] >> 8 & 15];
}

/* ---- bytes in: what the fields mean ---- */

/* The link is over, as far as this side is concerned. */
static void over(bowline *b, uint32_t code) {
  bool alive = b->alive;
  uint64_t now = b->now;
  unsigned todo = b->state == LEAVING ? DO_RESET : b->todo & DO_RESET;
  clear(&b->state, offsetof(bowline, session) - offsetof(bowline, state));
  clear(&b->clock, offsetof(bowline, reset_at) - offsetof(bowline, clock));
  b->now = now;
  b->todo = todo;
  if (alive) tell(b, BOWLINE_DOWN, code);
}

/* A byte of a text, and at its begin its length, is compared with what it may be: bit i of the mask stays as long as it
 * is the same. Of an entry those are the texts of route i; of an initial, the path, the peer and the instance of `config`. */
enum { OWN_PATH = 1, PEER = 2, OWN_INSTANCE = 4 };

static void text(bowline *b, bowline_cursor *c, unsigned byte, bool begins) {
  const bowline_config *config = b->config;
  unsigned which = c->step - (unsigned)I_TYPE, i = 0, end = config->route_count, place = c->place;
  bool of_route = which <= I_CODEC - I_TYPE;

  if (!begins) c->place++;
  if (!of_route) {
    which = H_EXPECTED - (unsigned)c->step;
    if (c->step == H_INSTANCE) which = 2;
    if (which > 2) return;
    i = which;
    end = i + 1;
  }
  for (; i < end; i++) {
    const char *own = name(of_route ? (const void *)(config->routes + i) : config, which);
    if (own && c->mask >> i & 1 && (begins ? length(own) != c->count : (uint8_t)own[place] != byte)) c->mask &= ~(1u << i);
  }
}

/* An outlet that nobody wants any more. */
static void unwanted(bowline *b, bowline_outlet *out) {
  unsigned state = out->state;
  if (state >= ENDING) return;
  out->state = state == NEW ? FREE : ENDING;
  if (state == FLOWING) tell(b, BOWLINE_UNWANTED, out->route);
}

/* An entry of INTERESTS. */
static void entry(bowline *b, const bowline_cursor *c) {
  uint32_t op = c->kept[0], id = c->kept[1];
  unsigned i, k;
  for (k = 0; op && k < BOWLINE_PAIRS; k++)
    if (b->outlets[k].state && b->outlets[k].yours == id) unwanted(b, b->outlets + k);
  for (i = 0; op != 2 && i < b->config->route_count; i++) {
    bowline_outlet *out = b->outlets;
    if (!(c->mask >> i & 1)) continue;
    while (out < b->outlets + BOWLINE_PAIRS && out->state) out++;
    if (out == b->outlets + BOWLINE_PAIRS) {
      b->todo |= DO_REFUSE;
      b->refused = id;
      b->refused_route = i;
      continue;
    }
    out->next = out->limit = 0;
    out->yours = id;
    out->route = i;
    out->delivery = (uint8_t)(c->kept[3] & 0x7F);
    out->state = NEW;
  }
}

static void opened(bowline *b, const bowline_cursor *c) {
  uint32_t token = c->kept[0];
  if (c->kept[1] < SMALLEST_PACKET) return;
  if (b->state == IDLE || b->token != token) {
    over(b, NO_FAULT);
    b->token = token;
    b->packet = (uint16_t)c->kept[1];
    b->window = c->kept[2];
    b->session = (b->session + b->now + 1) | 1;   /* begun at random; its low half serves as the token */
    b->state = OPENED_UP;
    b->clock = ~(uint64_t)0 / 2;           /* so that TIME goes first */
    b->own_packet = b->config->receive_size - 4u;
    b->own_window = 2 * b->own_packet;
    b->rto = rto_least(b);
    b->deadline = later(b, HANDSHAKE_MICROS);
  }
  b->todo |= DO_OPENED;
}

static void acked(bowline *b, uint32_t next, uint32_t window, bool holes) {
  uint32_t count = next - b->una, used = b->end - b->una;
  if (count > used) return;
  b->window = window;
  if (count) {
    move_down(b->config->stream, count, used);
    b->una = next;
    if ((int32_t)(b->nxt - next) < 0) b->nxt = next;
    b->rto = rto_least(b);
    b->rto_at = later(b, b->rto);
    b->rewound = 0;
  } else if (holes && !b->rewound) {
    b->rewound = 1;
    b->nxt = b->una;
    b->counts.repeats++;
  }
  b->timing = b->nxt != b->una;
}

static unsigned linked(bowline *b, uint32_t route, uint32_t alias) {
  bowline_inlet *in = b->inlets;
  if (route >= b->config->route_count || b->config->routes[route].kind != BOWLINE_INTEREST || inlet(b, alias))
    return MALFORMED;
  if (alias < BOWLINE_PAIRS) {  /* else there is no room: without CREDIT nothing will come */
    in += alias;
    in->next = in->granted = in->lost = in->said = in->missing = 0;
    in->alias = alias;
    in->route = route;
    in->open = in->due = 1;
  }
  return NO_FAULT;
}

static unsigned credited(bowline *b, const bowline_cursor *c) {
  bowline_outlet *out = b->outlets;
  if (c->kept[0] >= BOWLINE_PAIRS) return NO_FAULT;
  out += c->kept[0];
  if (out->state != ASSIGNED && out->state != FLOWING) return NO_FAULT;
  if (c->kept[1] < out->limit || c->kept[2] > out->next || c->kept[3] > out->next) return MALFORMED;
  out->limit = c->kept[1];
  if (out->state == ASSIGNED) {
    out->state = FLOWING;
    tell(b, BOWLINE_WANTED, out->route);
  }
  return NO_FAULT;
}

static void tallied(bowline *b, bowline_inlet *in, uint32_t next, uint32_t dropped) {
  if (next < in->expected || next >= NUMBERS) return;
  dropped = dropped > in->dropped ? dropped - in->dropped : 0;
  in->dropped += dropped;
  loss(b, in, next - in->expected + dropped, dropped);
  in->expected = next;
}

static void ponged(bowline *b, const bowline_cursor *c) {
  uint32_t trip = (uint32_t)b->now - c->kept[0] - (c->kept[2] - c->kept[1]);
  unsigned i;
  if (c->kept[0] == b->ping_sent && (int32_t)trip >= 0) b->round_trip = trip;
  for (i = 0; i < BOWLINE_PAIRS; i++)
    if (b->outlets[i].state == PINGED && b->outlets[i].mark == c->kept[0]) b->outlets[i].state = FREE;
}

/* The dialler's initial. */
static unsigned met(bowline *b, const bowline_cursor *c) {
  b->todo |= DO_INITIAL;
  if (c->mask & OWN_INSTANCE) return DUPLICATE;
  if (c->kept[0] > 1) return VERSION;
  if (c->mask != (OWN_PATH | PEER)) return WRONG_IDENTITY;
  b->todo |= DO_FINAL;
  b->largest = c->entries;
  b->state = SHAKING;
  return NO_FAULT;
}

static void up(bowline *b) {
  b->state = UP;
  b->alive = 1;
  b->ping_at = (uint32_t)b->now;
  b->credit_at = later(b, SECOND);
  tell(b, BOWLINE_UP, 0);
}

/* A tag is whole: where it goes on. */
static unsigned kind(bowline *b, bowline_cursor *c, uint32_t tag) {
  unsigned step = X_SKIP, what = tag < MESSAGE ? tag : MESSAGE;
  c->mask = OWN_PATH | PEER | OWN_INSTANCE;
  c->kept[0] = tag - MESSAGE;   /* the alias of a MESSAGE */
  if (c->tag) {
    if (b->state == IDLE && (what < OPEN || what > RESET)) {
      if (passed(b, b->reset_at)) {
        b->reset_at = later(b, SECOND / 10);
        b->todo |= DO_RESET;
      }
      return STOP;
    }
    if (what == MESSAGE) step = L_ORDER;
    else if (what < sizeof packet_kinds) step = packet_kinds[what];
    if (what < 0x10) what += PACKET;
  } else {
    if (b->state != UP && what - HANDSHAKE > BYE - HANDSHAKE) {
      if (b->state == OPENED_UP) return NOT_BOWLINE;
      if (what < MESSAGE) return MALFORMED;
    }
    if (what < sizeof stream_kinds) step = stream_kinds[what];
    if (what == MESSAGE) step = inlet(b, c->kept[0]) ? M_STAMP : 0;
    if (!step || (what >= 0x18 && what < MESSAGE)) return what == MESSAGE ? UNKNOWN_ALIAS : UNKNOWN_KIND;
  }
  c->tag = (uint8_t)what;
  go(c, step);
  return NO_FAULT;
}

static uint64_t wide(const bowline_cursor *c) { return (uint64_t)c->high << 32 | c->value; }

/* A field is whole. */
static unsigned field(bowline *b, bowline_cursor *c, unsigned row) {
  uint32_t v = c->value, bit = 1, i;
  unsigned next = c->step + 1u, keep = row >> 5 & 7;

  if (keep) c->kept[keep - 1] = v;

  switch (row >> 12) {
  case IS_LENGTH:
    if (v > (b->state == UP ? 65536 : MAX_FRAME)) return TOO_LARGE;
    c->left = v;
    break;
  case IS_TAG:
    return kind(b, c, v);
  case IS_PHASE:
    if (b->state != OPENED_UP + v) return b->state == OPENED_UP ? NOT_BOWLINE : MALFORMED;
    if (v) next = F_VERSION;
    break;
  case IS_MAGIC:                /* BWLN of a HANDSHAKE, BWLP of an OPEN */
    if (v != 0x4E4C5742 + (c->tag == HANDSHAKE ? 0u : 0x02000000u)) return NOT_BOWLINE;
    break;
  case IS_ROOM:
    if (v < SMALLEST_FRAME || c->kept[1] < c->kept[0]) return MALFORMED;
    c->entries = (uint16_t)(v < MAX_FRAME ? v : MAX_FRAME);
    break;
  case IS_SESSION:
    if (c->kept[0] || wide(c) != b->session) return MALFORMED;
    break;
  case IS_CLOCK:
    i = c->tag == PING;
    if (c->tag == TIME) break;
    b->echo[i] = wide(c);
    b->received_at[i] = b->now;
    break;
  case IS_COUNT:
    if (2 * v > c->left) return MALFORMED;
    c->entries = (uint16_t)v;
    if (!v) next = I_LAST;
    break;
  case IS_ID:
    if (c->kept[0] == 2) goto entry;
    break;
  case IS_FORM:
    c->mask = ~(uint32_t)0;
    if (v) next = I_PATH;
    break;
  case IS_PATH:
    if (!c->kept[2] || next > I_DIGEST) next = I_PRINT;
    break;
  case IS_PRINT:
    next = I_CODEC;
    for (i = 0; i < b->config->route_count; i++, bit <<= 1) {
      const bowline_route *route = b->config->routes + i;
      if (route->fingerprint != wide(c) || route->kind == BOWLINE_INTEREST || !route->digest != !c->kept[2]) c->mask &= ~bit;
    }
    break;
  case IS_DEPTH:
    if (c->step == I_ONLY) {
      c->mask &= v < 32 ? bit << v : 0;
    } else {
      i = c->kept[3] & 0x7F;
      if (i > 2 || v > (i ? 1048576 : 1)) return MALFORMED;
      if (c->kept[3] & 0x80) break;
    }
  entry:
    entry(b, c);
    next = --c->entries ? I_OP : I_LAST;
    break;
  case IS_NOTICE:
    next = notices[v];
    break;
  case IS_ORDER:                /* what stands behind it may be left out */
    if (c->step == L_AGE) {
      c->kept[3] = age_micros(v);
      if (v == 0xFF) break;
    } else {
      c->kept[2] = 0;
      if (v & 0x80) break;
    }
    next++;
    break;
  }
  go(c, next);
  return NO_FAULT;
}

static unsigned eat(bowline *b, bowline_cursor *c, const uint8_t *at, size_t size);

/* Bytes of the stream. They are taken in order only; what comes early has to come again. */
static void segment(bowline *b, uint32_t offset, const uint8_t *bytes, size_t size) {
  uint32_t known = b->next - offset;
  unsigned fault;
  if (known >= size) {                  /* early, or all of it known */
    b->segments = 2;
    b->todo |= DO_ACK;
    return;
  }
  b->next = offset + (uint32_t)size;
  b->todo |= DO_ACK;
  if (!b->segments++) b->ack_at = later(b, 20000);
  if (b->state == LEAVING) return;
  fault = eat(b, &b->cursor, bytes + known, size - known);
  if (fault & 0xFF) leave(b, fault);
}

/* A frame of the stream, or a packet, is whole. */
static unsigned whole(bowline *b, bowline_cursor *c) {
  bowline_inlet *in = inlet(b, c->kept[0]);     /* of a frame that has an alias */
  switch (c->tag) {
  case HANDSHAKE:
    if (c->step == H_MORE) return met(b, c);
    up(b);
    break;
  case BYE:
    over(b, c->kept[0]);
    return STOP;
  case PACKET + PACKET_PING:
    b->todo |= DO_PONG;
    break;
  case PING:
    b->todo |= DO_STREAM_PONG;
    break;
  case PACKET + PACKET_PONG: case PONG:
    ponged(b, c);
    break;
  case NOTIFY:
    if (!c->kept[2]) return linked(b, c->kept[0], c->kept[1]);
    if (c->kept[2] == 2 && c->kept[0] < b->config->route_count) tell(b, BOWLINE_MISMATCH, c->kept[0]);
    break;
  case CREDIT:
    return credited(b, c);
  case GAP: case LOST:
    if (c->kept[1] > NUMBERS) return MALFORMED;
    if (in) loss(b, in, c->kept[1], c->tag == GAP ? c->kept[1] : 0);
    break;
  case END:
    if (in) {
      credit(b, in);
      in->open = 0;
    }
    break;
  case PACKET + TALLY: case STREAM_TALLY:
    if (in) tallied(b, in, c->kept[1], c->kept[2]);
    break;
  case PACKET + OPEN:
    opened(b, c);
    break;
  case PACKET + RESET:
    over(b, NO_FAULT);
    break;
  case PACKET + SEGMENT:
    segment(b, c->kept[0], c->rest, c->count);
    break;
  case PACKET + ACK:
    acked(b, c->kept[0], c->kept[1], c->count);
    break;
  case MESSAGE:
    if (!in) break;
    if (c->step == L_PAYLOAD) {
      ordered(b, in, c->kept[1], c->kept[2]);
      deliver(b, in, c->rest, c->count, c->kept[3]);
    } else {
      if (in->next >= in->granted) return NO_CREDIT;
      if (c->count > b->config->message_size) loss(b, in, 1, 0);
      else deliver(b, in, b->config->message, c->count, 0);
    }
  }
  return b->state <= LEAVING ? STOP : NO_FAULT;
}

/* One byte of a field other than the rest. */
static unsigned byte_in(bowline *b, bowline_cursor *c, uint32_t byte) {
  unsigned row = fields[c->step], most = limits[row >> 8 & 15];
  uint32_t form = row & 15, place = c->at++;
  if (c->text) {
    text(b, c, byte, false);
    return --c->count ? NO_FAULT : field(b, c, row);
  }
  uint32_t bits = byte, shift = 8 * place;
  if (form >= V32) {
    bits &= 0x7F;
    shift -= place;
  }
  if (shift < 32) {
    c->value |= bits << shift;
    c->high |= bits >> 1 >> (31 - shift);
  } else {
    c->high |= bits << (shift - 32);
  }
  if (form < V32) {
    if (c->at < form) return NO_FAULT;
  } else {
    if (place == 9 && byte > 1) return MALFORMED;
    if (byte & 0x80) return place < (form == V64 ? 9 : 4) ? NO_FAULT : MALFORMED;
    if (!byte && place) return MALFORMED;
    if (c->high) {
      if (form != V64) return c->step == S_LENGTH ? TOO_LARGE : MALFORMED;
      c->value = ~(uint32_t)0;
    }
  }
  if ((most && c->value > most) || (row & SOME && !c->value)) return MALFORMED;
  if (form == TEXT) {
    c->count = c->value;
    c->text = 1;
    if (c->count || c->step == I_CODEC) text(b, c, 0, true);
    if (c->count) return NO_FAULT;
  }
  return field(b, c, row);
}

static unsigned eat(bowline *b, bowline_cursor *c, const uint8_t *at, size_t size) {
  while (size) {
    unsigned fault, form = form_of(c->step);
    if (form == LAST) return MALFORMED;
    if (form == REST) {
      uint32_t n = size < c->left ? (uint32_t)size : c->left, i;
      if (c->step == M_PAYLOAD)
        for (i = 0; i < n && c->count + i < b->config->message_size; i++) b->config->message[c->count + i] = at[i];
      c->rest = at;
      c->count += n;
      c->left -= n;
      at += n;
      size -= n;
    } else {
      size--;
      c->left--;
      fault = byte_in(b, c, *at++);
      if (fault) return fault;
    }
    if (c->step != S_LENGTH && !c->left) {
      form = form_of(c->step);
      fault = form == REST || form == LAST ? whole(b, c) : MALFORMED;
      if (fault) return fault;
      c->tag = 0;
      go(c, S_LENGTH);
    }
  }
  return NO_FAULT;
}

/* ---- packets in ---- */

static void packet_in(bowline *b) {
  const uint8_t *bytes = b->config->receive;
  size_t size = b->received, i;
  uint32_t crc = 0xFFFFFFFF;
  bowline_cursor c;
  unsigned fault;

  if (size > b->config->receive_size) size = 0;
  for (i = 0; i < size; i++) crc = crc_add(crc, bytes[i]);
  if (size < 5 || crc != CRC_GOOD) {
    b->counts.noise++;
    return;
  }
  b->heard = (uint32_t)b->now;
  go(&c, S_TAG);
  c.tag = PACKET;
  c.left = (uint32_t)size - 4;
  c.rest = bytes;
  fault = eat(b, &c, bytes, c.left);
  if (fault & 0xFF) b->counts.malformed++;
}

static void input(bowline *b, const uint8_t *at, size_t size) {
  for (; size; size--) {
    unsigned byte = *at++;
    if (!byte) {
      if (b->cobs_code) {
        if (b->cobs_left) b->received = 0;
        packet_in(b);
      }
      b->received = 0;
      b->cobs_left = b->cobs_code = 0;
      continue;
    }
    if (!b->cobs_left) {
      bool zero = b->cobs_code && b->cobs_code != 0xFF;
      b->cobs_code = (uint8_t)byte;
      b->cobs_left = (uint8_t)(byte - 1);
      if (!zero) continue;
      byte = 0;
    } else {
      b->cobs_left--;
    }
    if (b->received < b->config->receive_size) b->config->receive[b->received] = (uint8_t)byte;
    b->received++;
  }
}

/* ---- what is to go into the stream ---- */

/* An entry of the table. */
static bool route_out(bowline *b, unsigned id) {
  const bowline_route *route = b->config->routes + id;
  bool hashed = route->digest != NULL;
  frame(b);
  put1(b, route->kind == BOWLINE_INTENT ? INTENTS : INTERESTS);
  put(b, 2, 1);                 /* one entry: add */
  put1(b, id);
  put1(b, hashed);
  if (!hashed) put_text(b, route->type);
  put_text(b, route->path);
  if (hashed) put_raw(b, route->digest, 32);
  put(b, 4, (uint32_t)route->fingerprint);
  put(b, 4, (uint32_t)(route->fingerprint >> 32));
  put_text(b, name(route, 3));
  put(b, 4, 0);                 /* lease */
  if (route->kind == BOWLINE_INTENT) {
    put1(b, route->flags & BOWLINE_EXCLUSIVE);
  } else {
    put1(b, route->delivery);
    put_var(b, route->delivery == BOWLINE_LATEST ? 1 : depth(route));
  }
  return commit(b);
}

/* No two PINGs have the same time. */
APART static uint32_t ping_time(bowline *b) {
  int32_t ahead = (int32_t)((uint32_t)b->sent - b->last_ping);
  if (ahead <= 0) b->sent += (uint32_t)(1 - ahead);
  return b->last_ping = (uint32_t)b->sent;
}

/* What bits 0 to 9 of `todo` say. */
static const uint8_t to_say[] = {
  FORM(reset), FORM(opened), FORM(ack), FORM(pong), FORM(ping), FORM(initial), FORM(final), FORM(bye), FORM(refuse),
  FORM(stream_pong),
};

/* What an outlet says in a state, to be in the next one then. */
static const uint8_t to_say_of_outlet[] = {
  0, FORM(linked), 0, 0, FORM(stream_tally), FORM(end), FORM(stream_ping), 0,
};

/* Puts frames behind each other as long as there is room. */
static void fill(bowline *b) {
  unsigned i;

  for (i = PACKETS; i < ALL_FRAMES; i++) {
    if (!(b->todo >> i & 1)) continue;
    frame(b);
    say(b, to_say[i]);
    if (1u << i == DO_INITIAL) {
      put_text(b, b->config->path);
      put_text(b, b->config->peer);
    }
    if (!commit(b)) return;
    b->todo &= ~(1u << i);
  }
  if (b->state != UP) return;
  for (; b->told < b->config->route_count; b->told++)
    if (!route_out(b, b->told)) return;
  for (i = 0; i < BOWLINE_PAIRS; i++) {
    bowline_outlet *out = b->outlets + i;
    unsigned form;
    out->alias = i;
    while ((form = to_say_of_outlet[out->state])) {
      const void *from = &out->route;
      frame(b);
      if (out->state == ENDED) {        /* the PONG to a PING behind END sets the alias free */
        from = &b->now;
        out->mark = ping_time(b);
      }
      compose(b, form, from);
      if (!commit(b)) return;
      out->dirty = 0;
      out->state++;
    }
    if (b->inlets[i].open && b->inlets[i].due) credit(b, b->inlets + i);
  }
}

/* ---- what is to go as packets ---- */

/* The number of each sample goes with it in seven bits, so the whole of it is said now and then. */
static bool tally(bowline *b, bowline_outlet *out) {
  packet(b);
  compose(b, FORM(tally), &out->route);
  if (!packet_out(b, NULL, 0)) return false;
  out->tallied = out->count;
  out->unsaid = 0;
  out->dirty = 0;
  return true;
}

static bool segments_out(bowline *b) {
  uint32_t probe = 0, most = b->config->transmit_size / 2, n;

  if (b->timing && passed(b, b->rto_at)) {
    b->nxt = b->una;
    b->rto *= 2;
    if (b->rto > RTO_MOST) b->rto = RTO_MOST;
    b->timing = 0;
    b->counts.repeats++;
    probe = 1;
  }
  if (most > b->packet - 5u) most = b->packet - 5u;
  while (b->nxt != b->end) {
    uint32_t ahead = b->nxt - b->una, window = b->window > probe ? b->window : probe;
    if (!b->timing) {
      b->timing = 1;
      b->rto_at = later(b, b->rto);
    }
    if (ahead >= window) break;
    n = b->end - b->nxt;
    if (n > window - ahead) n = window - ahead;
    if (n > most) n = most;
    packet(b);
    say(b, FORM(segment));
    if (!packet_out(b, b->config->stream + ahead, n)) return false;
    b->nxt += n;
  }
  return true;
}

/* Everything but samples, which go only when nothing of this is left. */
static bool control_out(bowline *b) {
  unsigned i;

  if (b->state == UP && passed(b, b->ping_at)) {
    b->ping_at = later(b, b->ping_millis * 1000);
    b->todo |= DO_PING | DO_TALLY;
  }
  for (i = 0; i < PACKETS; i++) {
    if (!(b->todo >> i & 1)) continue;
    if (1u << i == DO_ACK) {
      if (b->segments < 2 && !passed(b, b->ack_at)) continue;
      b->segments = 0;
    }
    packet(b);
    if (1u << i == DO_PING) b->ping_sent = ping_time(b);
    say(b, to_say[i]);
    if (!packet_out(b, NULL, 0)) return false;
    b->todo &= ~(1u << i);
  }
  for (i = 0; i < BOWLINE_PAIRS; i++)
    if (b->todo & DO_TALLY && b->outlets[i].dirty && !tally(b, b->outlets + i)) return false;
  b->todo &= ~DO_TALLY;
  return segments_out(b);
}

static void give_out(bowline *b) {
  fill(b);
  b->hungry = !control_out(b);
  drain(b);
}

/* ---- samples out ---- */

static bool loose(bowline *b, bowline_outlet *out, const uint8_t *payload, size_t size) {
  if (b->hungry || (out->count - out->tallied >= 64 && !tally(b, out))) return false;
  packet(b);
  put_var(b, MESSAGE + out->alias);
  put1(b, out->unsaid ? out->count | 0x80 : out->count & 0x7F);
  if (out->unsaid) put_var(b, out->unsaid << 7 | (out->count >> 7 & 0x7F));
  put1(b, age_code(wait_micros(b)));
  if (!packet_out(b, payload, size)) return false;
  out->unsaid = 0;
  out->count++;
  return true;
}

/* Into the stream, where there is room. */
static void repaired(bowline *b, uint32_t alias, const uint8_t *payload, size_t size) {
  uint64_t wide = b->now - b->clock;
  uint32_t span = (uint32_t)wide, shift = 0;
  if (wide > 134201344) {       /* the time never goes back */
    frame_of(b, FORM(time), &b->now);
    b->clock = b->now;
    span = 0;
  }
  for (; span >= 0x2000; shift++) span >>= 1;
  frame(b);
  put_var(b, MESSAGE + alias);
  put(b, 2, (shift << 12) + span);
  put_raw(b, payload, size);
  commit(b);
  b->clock += span << shift;
}

bowline_result bowline_send(bowline *b, uint8_t route, const void *payload, size_t size) {
  bowline_result result = BOWLINE_NOBODY;
  size_t room = b->config->stream_size - (b->end - b->una), i;

  if (b->state != UP) return result;
  for (i = 0; i < 2 * BOWLINE_PAIRS; i++) {     /* looks first whether all can take it, then sends to each */
    bool sends = i >= BOWLINE_PAIRS;
    bowline_outlet *out = b->outlets + (sends ? i - BOWLINE_PAIRS : i);
    if (out->state != FLOWING || out->route != route) continue;
    if (!sends) {
      if (size + 5 > b->largest) return BOWLINE_TOO_LARGE;
      if (out->delivery != BOWLINE_LOSSLESS) {
        if (size + 10 > b->packet || encoded(size + 20) > b->config->transmit_size) return BOWLINE_TOO_LARGE;
      } else {
        if (size + 24 > b->config->stream_size) return BOWLINE_TOO_LARGE;
        if (out->next >= out->limit || size + 24 > room) return BOWLINE_BUSY;
        room -= size + 24;
      }
      continue;
    }
    out->next++;
    if (out->delivery == BOWLINE_LOSSLESS) {
      repaired(b, out->alias, payload, size);
    } else {
      out->dirty = 1;
      if (!loose(b, out, payload, size)) {
        out->dropped++;
        out->unsaid++;
        b->counts.dropped++;
        result = BOWLINE_DROPPED;
      }
    }
    if (result != BOWLINE_DROPPED) result = BOWLINE_SENT;
  }
  give_out(b);
  return result;
}

/* ---- the rest ---- */

bool bowline_init(bowline *b, const bowline_config *config, uint64_t now) {
  unsigned i;

  clear(b, sizeof *b);
  b->config = config;
  b->now = now;
  memcpy(b->instance, config->instance, 16);
  b->session = b->instance[0];
  b->scope = config->scope_own;
  b->ping_millis = config->ping_millis ? config->ping_millis : 1000;
  b->todo = DO_RESET;
  config->transmit[b->tail++] = 0;      /* ends what may stand on the line */
  if (config->receive_size < 80 || config->transmit_size < 96 || config->stream_size < 192) return false;
  for (i = 0; i < config->route_count; i++) {
    b->end = 24;                /* as much has to stay free */
    if (!route_out(b, i)) return false;
  }
  b->end = 0;
  return i <= 32;
}

void bowline_poll(bowline *b, uint64_t now) {
  uint8_t bytes[32];
  unsigned i;

  b->now = now;
  for (i = 16; i; i--) {
    size_t n = b->config->read(b->config->user, bytes, sizeof bytes);
    if (!n) break;
    input(b, bytes, n);
  }
  if (b->state == UP) {
    if (passed(b, b->heard + b->ping_millis * 3500)) leave(b, SILENT);
    if (passed(b, b->credit_at)) {
      b->credit_at = later(b, SECOND);
      for (i = 0; i < BOWLINE_PAIRS; i++) {
        if (b->inlets[i].lost != b->inlets[i].said) b->inlets[i].due = 1;
        if ((b->inlets[i].next | b->outlets[i].next) >= NUMBERS) leave(b, CLOSING);
      }
    }
  } else if (b->state != IDLE && passed(b, b->deadline)) {
    if (b->state == LEAVING) over(b, b->bye);
    leave(b, HANDSHAKE_TIMEOUT);
  }
  drain(b);
  give_out(b);
}

bool bowline_is_up(const bowline *b) { return b->state == UP; }

void bowline_close(bowline *b) { leave(b, CLOSING); }

/* ---- bincode ---- */

void bowline_put_bytes(bowline_writer *w, const void *bytes, size_t size) {
  if ((size_t)(w->end - w->at) < size) {
    w->failed = true;
    w->at = w->end;
  } else {
    memcpy(w->at, bytes, size);
    w->at += size;
  }
}

static void put_sized(bowline_writer *w, uint64_t value, int mark, unsigned size) {
  uint8_t bytes[9];
  unsigned i;
  bytes[0] = (uint8_t)mark;
  for (i = 1; i < 9; i++, value >>= 8) bytes[i] = (uint8_t)value;
  if (mark) bowline_put_bytes(w, bytes, size + 1);
  else bowline_put_bytes(w, bytes + 1, size);
}

void bowline_put_u8(bowline_writer *w, uint8_t value) { put_sized(w, value, 0, 1); }

void bowline_put_uint(bowline_writer *w, uint64_t value) {
  if (value < 251) put_sized(w, value, 0, 1);
  else if (value <= 0xFFFF) put_sized(w, value, 251, 2);
  else if (value <= 0xFFFFFFFF) put_sized(w, value, 252, 4);
  else put_sized(w, value, 253, 8);
}

void bowline_put_int(bowline_writer *w, int64_t value) {
  bowline_put_uint(w, value < 0 ? ~((uint64_t)value << 1) : (uint64_t)value << 1);
}

void bowline_put_f32(bowline_writer *w, float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  put_sized(w, bits, 0, 4);
}

void bowline_put_f64(bowline_writer *w, double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  put_sized(w, bits, 0, 8);
}

void bowline_get_bytes(bowline_reader *r, void *bytes, size_t size) {
  uint8_t *to = bytes;
  if ((size_t)(r->end - r->at) < size) {
    r->failed = true;
    r->at = r->end;
    while (size) to[--size] = 0;
  } else {
    memcpy(to, r->at, size);
    r->at += size;
  }
}

static uint64_t get_sized(bowline_reader *r, unsigned size) {
  uint8_t bytes[8];
  uint64_t value = 0;
  bowline_get_bytes(r, bytes, size);
  while (size) value = value << 8 | bytes[--size];
  return value;
}

uint8_t bowline_get_u8(bowline_reader *r) { return (uint8_t)get_sized(r, 1); }

bool bowline_get_bool(bowline_reader *r) {
  uint8_t value = bowline_get_u8(r);
  if (value > 1) r->failed = true;
  return value == 1;
}

uint64_t bowline_get_uint(bowline_reader *r, uint64_t most) {
  uint64_t value = bowline_get_u8(r);
  if (value > 253) r->failed = true;
  else if (value > 250) value = get_sized(r, 2u << (value - 251));
  if (value > most) r->failed = true;
  return r->failed ? 0 : value;
}

int64_t bowline_get_int(bowline_reader *r, uint64_t most) {
  uint64_t value = bowline_get_uint(r, most << 1 | 1);
  return (int64_t)(value & 1 ? ~(value >> 1) : value >> 1);
}

float bowline_get_f32(bowline_reader *r) {
  uint32_t bits = (uint32_t)get_sized(r, 4);
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

double bowline_get_f64(bowline_reader *r) {
  uint64_t bits = get_sized(r, 8);
  double value;
  memcpy(&value, &bits, 8);
  return value;
}
