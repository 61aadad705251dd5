/* Tests of bowline.c on this machine: `test PROTOCOL.md`. The client is compiled in, to look inside.
 * A small peer of its own plays the endpoint; its COBS and CRC are written apart from the client's. */
#include "../bowline.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The test writes apart from the client. */
static uint8_t *number(uint8_t *at, unsigned size, uint32_t value) {
  for (; size; size--, value >>= 8) *at++ = (uint8_t)value;
  return at;
}

static int failures, checks;

#define CHECK(what) check((what), #what, __LINE__)
static void check(bool good, const char *what, int line) {
  checks++;
  if (good) return;
  failures++;
  printf("line %d: not so: %s\n", line, what);
}

/* ---- blocks of the page ---- */

static char *page;

typedef struct {
  char head[160];               /* the words behind the fence */
  uint8_t bytes[1024];
  size_t size;
} block;

static const char *next_block(const char *at, const char *sort, block *out) {
  size_t n = strlen(sort);
  while ((at = strstr(at, "\n```"))) {
    const char *line = at + 4, *end = strchr(line, '\n');
    size_t head = (size_t)(end - line);
    at = strstr(end, "\n```");
    if (!strncmp(line, sort, n) && line[n] == ' ') {
      const char *p = end;
      memcpy(out->head, line + n + 1, head - n - 1);
      out->head[head - n - 1] = 0;
      out->size = 0;
      while (p < at) {
        char *after;
        if (*p == ';') p = strchr(p, '\n');
        else if (*p == '\n' || *p == ' ') p++;
        else {
          out->bytes[out->size++] = (uint8_t)strtoul(p, &after, 16);
          p = after;
        }
      }
      return at + 4;
    }
    at += 4;
  }
  return NULL;
}

static block vector(const char *sort, const char *name) {
  block found;
  const char *at = page;
  size_t n = strlen(name);
  while ((at = next_block(at, sort, &found)))
    if (!strncmp(found.head, name, n) && (!found.head[n] || found.head[n] == ' ')) return found;
  printf("PROTOCOL.md has no `%s %s`\n", sort, name);
  exit(1);
}

/* ---- a line with the client at one end ---- */

typedef struct {
  bowline link;
  bowline_config config;
  uint8_t receive[1100], transmit[700], stream[600], message[1100];
  uint8_t to_board[65536], from_board[65536];
  size_t to, to_read, from;
  uint64_t now;
  /* what the board saw */
  unsigned samples, events[5], last_event;
  uint64_t numbers[256];
  uint32_t lost;
  uint8_t last[1100];
  size_t last_size;
  /* what the peer got, in order, and what it gives */
  uint8_t stream_in[65536];
  uint32_t stream_in_size, sent, acked;
  unsigned loose, pongs, pings, opened, resets, acks, tallies, broken;
  uint8_t loose_order[256], ping[9], tally[32];
  size_t tally_size;
} rig;

static const uint8_t instance[16] = {
  0xB0, 0xB1, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF,
};

static const bowline_route routes[] = {
  { .type = "Imu", .path = "robot.base.imu", .fingerprint = 0x0123456789ABCDEF, .kind = BOWLINE_INTENT },
  { .type = "Imu", .path = "robot.base.im", .fingerprint = 0x0123456789ABCDEF, .kind = BOWLINE_INTENT },
  { .type = "Im", .path = "robot.base.imu", .fingerprint = 0x0123456789ABCDEF, .kind = BOWLINE_INTENT },
  { .type = "Imu", .path = "robot.base.imu", .fingerprint = 0x0123456789ABCDEE, .kind = BOWLINE_INTENT },
  { .type = "Imu", .path = "robot.base.imu", .fingerprint = 0x0123456789ABCDEF, .codec = "postcard", .kind = BOWLINE_INTENT },
  { .type = "Imu", .path = "robot.base.imu", .fingerprint = 0x0123456789ABCDEF, .kind = BOWLINE_INTEREST },
  { .type = "Set", .path = "robot.base.set", .fingerprint = 5, .kind = BOWLINE_INTEREST, .delivery = BOWLINE_LOSSLESS,
    .depth = 4 },
};

static size_t rig_read(void *user, uint8_t *bytes, size_t room) {
  rig *r = user;
  size_t n = r->to - r->to_read;
  if (n > room) n = room;
  memcpy(bytes, r->to_board + r->to_read, n);
  r->to_read += n;
  if (r->to_read == r->to) r->to = r->to_read = 0;
  return n;
}

static size_t rig_write(void *user, const uint8_t *bytes, size_t size) {
  rig *r = user;
  if (size > 100) size = 100;
  if (r->from + size > sizeof r->from_board) size = sizeof r->from_board - r->from;
  memcpy(r->from_board + r->from, bytes, size);
  r->from += size;
  return size;
}

static void rig_sample(void *user, uint8_t route, const bowline_sample *sample) {
  rig *r = user;
  r->numbers[r->samples++ % 256] = sample->number;
  r->lost += sample->lost;
  r->last_size = sample->size;
  memcpy(r->last, sample->payload, sample->size);
  (void)route;
}

static void rig_event(void *user, bowline_event event, uint8_t what) {
  rig *r = user;
  r->events[event]++;
  r->last_event = what;
}

static uint32_t plain_crc(const uint8_t *bytes, size_t size) {
  uint32_t crc = 0xFFFFFFFF;
  size_t i;
  int k;
  for (i = 0; i < size; i++)
    for (crc ^= bytes[i], k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
  return ~crc;
}

/* To the board, as a packet. */
static void give(rig *r, const uint8_t *content, size_t size) {
  uint8_t raw[1200];
  uint32_t crc = plain_crc(content, size);
  size_t i, start = 0;
  memcpy(raw, content, size);
  for (i = 0; i < 4; i++) raw[size + i] = (uint8_t)(crc >> 8 * i);
  size += 4;
  for (;;) {
    size_t n = 0;
    while (start + n < size && raw[start + n] && n < 254) n++;
    r->to_board[r->to++] = (uint8_t)(n + 1);
    memcpy(r->to_board + r->to, raw + start, n);
    r->to += n;
    start += n;
    if (start >= size) break;
    if (n < 254) {
      start++;
      if (start == size) {
        r->to_board[r->to++] = 1;
        break;
      }
    }
  }
  r->to_board[r->to++] = 0;
}

static void give_segment_at(rig *r, uint32_t offset, const uint8_t *bytes, size_t size) {
  uint8_t content[1100] = { SEGMENT };
  number(content + 1, 4, offset);
  memcpy(content + 5, bytes, size);
  give(r, content, size + 5);
}

static void give_stream(rig *r, const uint8_t *bytes, size_t size) {
  give_segment_at(r, r->sent, bytes, size);
  r->sent += (uint32_t)size;
}

static void give_ack(rig *r) {
  uint8_t content[9] = { ACK };
  number(number(content + 1, 4, r->stream_in_size), 4, 4096);
  give(r, content, 9);
}

/* What the board sent, as packets. */
static void take_content(rig *r, const uint8_t *c, size_t size) {
  uint32_t offset, known;
  switch (c[0]) {
  case OPENED:
    r->opened++;
    break;
  case RESET:
    r->resets++;
    break;
  case SEGMENT:
    memcpy(&offset, c + 1, 4);
    known = r->stream_in_size - offset;
    if (known < size - 5) {
      memcpy(r->stream_in + r->stream_in_size, c + 5 + known, size - 5 - known);
      r->stream_in_size = offset + (uint32_t)size - 5;
    }
    break;
  case ACK:
    r->acks++;
    memcpy(&r->acked, c + 1, 4);
    break;
  case PACKET_PING:
    r->pings++;
    memcpy(r->ping, c, 9);
    break;
  case PACKET_PONG:
    r->pongs++;
    break;
  case TALLY:
    r->tallies++;
    memcpy(r->tally, c, r->tally_size = size);
    break;
  default:
    if (c[0] >= MESSAGE) r->loose_order[r->loose++ % 256] = c[1];
  }
}

static void take_all(rig *r) {
  uint8_t raw[2048];
  size_t i = 0;
  while (i < r->from) {
    size_t n = 0;
    if (!memchr(r->from_board + i, 0, r->from - i)) break;
    if (!r->from_board[i]) {
      i++;
      continue;
    }
    while (r->from_board[i]) {
      uint8_t code = r->from_board[i++], k;
      for (k = 1; k < code; k++) raw[n++] = r->from_board[i++];
      if (code < 255 && r->from_board[i]) raw[n++] = 0;
    }
    i++;
    if (n >= 5 && plain_crc(raw, n - 4) == (raw[n - 4] | raw[n - 3] << 8 | raw[n - 2] << 16 | (uint32_t)raw[n - 1] << 24))
      take_content(r, raw, n - 4);
    else
      r->broken++;
  }
  memmove(r->from_board, r->from_board + i, r->from - i);
  r->from -= i;
}

static void run(rig *r, unsigned millis) {
  for (; millis; millis--) {
    r->now += 1000;
    bowline_poll(&r->link, r->now);
    take_all(r);
  }
}

static void start(rig *r) {
  memset(r, 0, sizeof *r);
  r->now = 1700000000000250;
  r->config = (bowline_config){
    .path = "robot.base", .instance = instance, .routes = routes, .route_count = 7, .read = rig_read, .write = rig_write,
    .sample = rig_sample, .event = rig_event, .user = r, .receive = r->receive, .receive_size = sizeof r->receive,
    .transmit = r->transmit, .transmit_size = sizeof r->transmit, .stream = r->stream, .stream_size = sizeof r->stream,
    .message = r->message, .message_size = sizeof r->message, .baud = 115200, .scope_own = true,
  };
  CHECK(bowline_init(&r->link, &r->config, r->now));
}

static void give_open(rig *r, uint32_t token) {
  uint8_t content[64] = { OPEN, 'B', 'W', 'L', 'P', 1 }, *at = number(content + 6, 4, token);
  at = number(number(at, 2, 1024), 4, 4096);
  *at++ = 0;
  give(r, content, (size_t)(at - content));
  r->sent = r->stream_in_size = 0;
}

/* Up to the first frame of the stream. */
static void connect(rig *r) {
  start(r);
  give_open(r, 0x12345678);
  run(r, 5);
  CHECK(r->opened == 1);
}

/* All the way up, with all that the board said acknowledged. */
static void link_up(rig *r) {
  block initial = vector("hex vector", "handshake-initial-dialler"), final = vector("hex vector", "handshake-final");
  connect(r);
  r->link.session = 0x1122334455667788;
  give_stream(r, initial.bytes, initial.size);
  run(r, 10);
  give_ack(r);
  give_stream(r, final.bytes, final.size);
  run(r, 40);
  give_ack(r);
  run(r, 40);
  give_ack(r);
  run(r, 40);
  CHECK(bowline_is_up(&r->link));
}

/* The code of the BYE in what the board said from `from` on; 0: none. Walks frames. */
static unsigned bye_code(rig *r, uint32_t from) {
  uint32_t i = from;
  while (i < r->stream_in_size) {
    uint32_t size = r->stream_in[i++];
    if (size > 0x7F) size = (size & 0x7F) | (uint32_t)r->stream_in[i++] << 7;
    if (r->stream_in[i] == BYE) return r->stream_in[i + 1];
    i += size;
  }
  return 0;
}

/* True if these bytes stand in the stream that the board sent. */
static bool said(rig *r, block *v) {
  uint32_t i;
  for (i = 0; i + v->size <= r->stream_in_size; i++)
    if (!memcmp(r->stream_in + i, v->bytes, v->size)) return true;
  return false;
}

/* ---- the tests ---- */

static rig r;

static void payloads(void) {
  block imu = vector("hex payload", "imu"), move = vector("hex payload", "mode-move");
  uint8_t buffer[64];
  bowline_writer w = { buffer, buffer + sizeof buffer, false };
  bowline_reader in = { imu.bytes, imu.bytes + imu.size, false };
  static const uint64_t numbers[] = { 0, 250, 251, 65535, 65536, 0xFFFFFFFF, 0x100000000, UINT64_MAX };
  unsigned i;
  bowline_put_f32(&w, 0.5f), bowline_put_f32(&w, -1), bowline_put_f32(&w, 2);
  bowline_put_u8(&w, 1), bowline_put_f64(&w, 21.5);
  CHECK(!w.failed && (size_t)(w.at - buffer) == imu.size && !memcmp(buffer, imu.bytes, imu.size));
  CHECK(bowline_get_f32(&in) == 0.5f && bowline_get_f32(&in) == -1 && bowline_get_f32(&in) == 2);
  CHECK(bowline_get_bool(&in) && bowline_get_f64(&in) == 21.5 && in.at == in.end && !in.failed);
  CHECK(bowline_get_u8(&in) == 0 && in.failed);

  w.at = buffer;
  bowline_put_uint(&w, 2), bowline_put_int(&w, -1), bowline_put_int(&w, 300);
  CHECK((size_t)(w.at - buffer) == move.size && !memcmp(buffer, move.bytes, move.size));
  in = (bowline_reader){ move.bytes, move.bytes + move.size, false };
  CHECK(bowline_get_uint(&in, 3) == 2 && bowline_get_int(&in, INT16_MAX) == -1 && bowline_get_int(&in, INT16_MAX) == 300);
  for (i = 0; i < 8; i++) {
    w = (bowline_writer){ buffer, buffer + sizeof buffer, false };
    bowline_put_uint(&w, numbers[i]), bowline_put_int(&w, (int64_t)numbers[i]);
    in = (bowline_reader){ buffer, w.at, false };
    CHECK(bowline_get_uint(&in, UINT64_MAX) == numbers[i] && bowline_get_int(&in, INT64_MAX) == (int64_t)numbers[i]);
    CHECK(in.at == in.end && !in.failed);
    if (!numbers[i]) continue;
    in = (bowline_reader){ buffer, w.at, false };
    CHECK((bowline_get_uint(&in, numbers[i] - 1), in.failed));
  }
  w = (bowline_writer){ buffer, buffer + 2, false };
  bowline_put_uint(&w, 300);
  CHECK(w.failed);
}

static void numbers(void) {
  static const uint32_t ages[] = { 0, 63, 64, 1000, 1024, 2000, 100000, 33554431, 0xFFFFFFFF };
  unsigned i;
  CHECK(plain_crc((const uint8_t *)"123456789", 9) == 0xE3069283);
  for (i = 0; i < 9; i++) {
    uint32_t back = age_micros(age_code(ages[i]));
    CHECK(back <= ages[i] && (ages[i] - back <= ages[i] / 16 + 64 || age_code(ages[i]) == 0xAE));
  }
}

static void handshake(void) {
  block acceptor = vector("hex vector", "handshake-initial-acceptor"), final = vector("hex vector", "handshake-final");
  block dialler = vector("hex vector", "handshake-initial-dialler"), longer = vector("hex lenient", "handshake-initial-longer");
  block *each[2] = { &dialler, &longer };
  unsigned i;
  for (i = 0; i < 2; i++) {
    connect(&r);
    r.link.session = 0x1122334455667788;
    give_stream(&r, each[i]->bytes, each[i]->size);
    run(&r, 10);
    number(acceptor.bytes + 38, 4, MAX_FRAME);
    memcpy(acceptor.bytes + 46, r.stream_in + 46, 8);   /* our clock */
    CHECK(r.stream_in_size == acceptor.size + final.size);
    CHECK(!memcmp(r.stream_in, acceptor.bytes, acceptor.size));
    CHECK(!memcmp(r.stream_in + acceptor.size, final.bytes, final.size));
    CHECK(!bowline_is_up(&r.link));
    give_stream(&r, final.bytes, final.size);
    run(&r, 5);
    CHECK(bowline_is_up(&r.link) && r.events[BOWLINE_UP] == 1);
  }
}

static void handshakes_refused(void) {
  block dialler = vector("hex vector", "handshake-initial-dialler"), initial;
  initial = dialler;
  memcpy(initial.bytes + 13, instance, 16);
  connect(&r);
  give_stream(&r, initial.bytes, initial.size);
  run(&r, 10);
  CHECK(bye_code(&r, 0) == DUPLICATE && r.stream_in[1] == HANDSHAKE);

  initial = dialler;
  initial.bytes[7] = 2, initial.bytes[8] = 3;
  connect(&r);
  give_stream(&r, initial.bytes, initial.size);
  run(&r, 10);
  CHECK(bye_code(&r, 0) == VERSION);

  initial = dialler;
  initial.bytes[initial.size - 1] = 'f';
  connect(&r);
  give_stream(&r, initial.bytes, initial.size);
  run(&r, 10);
  CHECK(bye_code(&r, 0) == WRONG_IDENTITY);

  connect(&r);
  run(&r, 2200);
  CHECK(bye_code(&r, 0) == HANDSHAKE_TIMEOUT);
  run(&r, 300);
  CHECK(r.link.state == IDLE);
}

/* What a small endpoint need not notice, as it skips it. */
static const char *const skipped[] = {
  "handshake-path", "bye-not-utf8", "intents-count", "intents-count-large", "intents-op", "intents-type-name",
  "intents-route-form", "intents-codec", "intents-hops-0", "copy-alias", "copy-number", "copy-cut",
};

static void refusals(void) {
  static const struct { const char *name; unsigned code; } codes[] = {
    { "NotBowline", NOT_BOWLINE }, { "FrameTooLarge", TOO_LARGE }, { "Malformed", MALFORMED },
    { "UnknownKind", UNKNOWN_KIND },
  };
  const char *at = page;
  block v;
  unsigned seen = 0, i, k;
  while ((at = next_block(at, "hex refused", &v))) {
    char name[80], reason[40];
    bool first = strstr(v.head, " first") != NULL, skip = false;
    unsigned got, want = 0;
    if (sscanf(v.head, "%79s %39s", name, reason) != 2) continue;
    for (i = 0; i < 4; i++) if (!strcmp(reason, codes[i].name)) want = codes[i].code;
    for (k = 0; k < sizeof skipped / sizeof *skipped; k++) skip |= !strcmp(name, skipped[k]);
    if (skip) continue;
    /* It does not offer to take samples in pieces: to it the kind is reserved. */
    if (!strncmp(name, "fragment-", 9)) want = UNKNOWN_KIND;
    /* A message is refused by its length where the limit is ours: 1024, and 65536 for control frames. */
    if (!strncmp(name, "handshake-", 10) || first) connect(&r); else link_up(&r);
    if (!strncmp(name, "final-", 6)) {
      block initial = vector("hex vector", "handshake-initial-dialler");
      connect(&r);
      if (!first) {
        give_stream(&r, initial.bytes, initial.size);
        run(&r, 20);
      }
    }
    if (!strncmp(name, "message-without", 15)) linked(&r.link, 5, 0);
    if (!strncmp(name, "credit-", 7)) r.link.outlets[0].state = FLOWING;
    k = r.stream_in_size;
    if (bye_code(&r, 0)) k = 0, printf("%s: said BYE before\n", name);
    give_stream(&r, v.bytes, v.size);
    run(&r, 30);
    got = bye_code(&r, 0);
    if (got != want) printf("%s: BYE %u where %s is due\n", name, got, reason);
    CHECK(got == want);
    seen++;
  }
  CHECK(seen > 30);
}

static void frames(void) {
  static const char *const quiet[] = { "intents-add", "intents-batch", "intents-empty", "interests-latest", "interests-batch",
    "notify-refused", "notify-schema", "notify-conflict", "time", "gap", "end", "ping", "pong" };
  block v;
  unsigned i;
  for (i = 0; i < sizeof quiet / sizeof *quiet; i++) {
    link_up(&r);
    v = vector("hex vector", quiet[i]);
    give_stream(&r, v.bytes, v.size);
    run(&r, 30);
    if (bye_code(&r, 0)) printf("%s: BYE %u\n", quiet[i], bye_code(&r, 0));
    CHECK(!bye_code(&r, 0) && r.acked == r.sent);
  }
  /* Our table, as the page has it. */
  link_up(&r);
  v = vector("hex vector", "intents-add");
  CHECK(said(&r, &v));
  v = vector("hex vector", "interests-latest");
  v.bytes[4] = 5;
  CHECK(said(&r, &v));
  /* An interest in it, one byte a packet. */
  v = vector("hex vector", "interests-latest");
  for (i = 0; i < v.size; i++) {
    give_stream(&r, v.bytes + i, 1);
    run(&r, 1);
  }
  run(&r, 40);
  v = vector("hex vector", "notify-linked");
  v.bytes[4] = 0, v.bytes[5] = 0;
  CHECK(said(&r, &v));
  CHECK(r.link.outlets[0].state == ASSIGNED && !r.link.outlets[1].state);
  CHECK(bowline_send(&r.link, 0, "x", 1) == BOWLINE_NOBODY);
  v = vector("hex vector", "credit-unlimited");
  v.bytes[2] = 0;
  give_stream(&r, v.bytes, v.size);
  run(&r, 5);
  CHECK(r.events[BOWLINE_WANTED] == 1);
  CHECK(bowline_send(&r.link, 0, "x", 1) == BOWLINE_SENT);
  run(&r, 5);
  CHECK(r.loose == 1);
  /* Withdrawn: END, and free after a PONG. */
  give_ack(&r);
  give_stream(&r, (const uint8_t[]){ 4, 6, 1, 2, 0 }, 5);
  run(&r, 10);
  CHECK(r.events[BOWLINE_UNWANTED] == 1 && r.link.outlets[0].state == PINGED);
  {
    /* TALLY, END and PING are the last of the stream. */
    uint8_t pong[26] = { 25, PONG }, *last = r.stream_in + r.stream_in_size - 18;
    CHECK(!memcmp(last, (const uint8_t[]){ 4, 0x0F, 0, 1, 0, 2, 0x0B, 0, 9, 3 }, 10));
    memcpy(pong + 2, last + 10, 8);
    give_ack(&r);
    give_stream(&r, pong, 26);
  }
  run(&r, 5);
  CHECK(r.link.outlets[0].state == FREE);
  /* A PING in the stream is answered there. */
  i = r.pongs;
  v = vector("hex vector", "ping");
  give_stream(&r, v.bytes, v.size);
  run(&r, 5);
  CHECK(r.pongs == i && r.stream_in[r.stream_in_size - 26] == 25 && r.stream_in[r.stream_in_size - 25] == PONG);
  CHECK(!memcmp(r.stream_in + r.stream_in_size - 24, v.bytes + 2, 8));
  /* An unknown kind is skipped, an unknown code taken as it is. */
  v = vector("hex lenient", "unassigned-kind");
  give_stream(&r, v.bytes, v.size);
  run(&r, 5);
  CHECK(bowline_is_up(&r.link));
  v = vector("hex lenient", "bye-unknown-code");
  give_stream(&r, v.bytes, v.size);
  run(&r, 5);
  CHECK(!bowline_is_up(&r.link) && r.events[BOWLINE_DOWN] == 1 && r.last_event == 200);
}

/* One interest more than there is room for. */
static void refused_for_room(void) {
  block v = vector("hex vector", "interests-latest");
  unsigned i;
  link_up(&r);
  for (i = 0; i <= BOWLINE_PAIRS; i++) {
    v.bytes[4] = (uint8_t)(20 + i);
    give_stream(&r, v.bytes, v.size);
    run(&r, 40);
    give_ack(&r);
  }
  run(&r, 40);
  CHECK(r.link.outlets[BOWLINE_PAIRS - 1].state == ASSIGNED);
  CHECK(!memcmp(r.stream_in + r.stream_in_size - 7, (const uint8_t[]){ 6, NOTIFY, 1, 1, 0, 20 + BOWLINE_PAIRS, 0 }, 7));
}

static void samples(void) {
  block v = vector("hex stream", "sample-stream"), credit_none = vector("hex vector", "credit-unlimited");
  uint8_t message[300] = { 0x23, 0, 0, 'm' };
  unsigned i;
  link_up(&r);
  give_stream(&r, v.bytes, 6);
  run(&r, 30);
  CHECK(said(&r, &credit_none));
  give_stream(&r, v.bytes + 6, v.size - 6);
  run(&r, 30);
  CHECK(r.samples == 3 && r.numbers[0] == 0 && r.numbers[1] == 1 && r.numbers[2] == 4 && r.lost == 2);
  CHECK(r.last_size == 1 && r.last[0] == 'c' && !r.link.counts.lost);

  /* Loose ones: 0, 1, then 3 behind two that the sender dropped, then 200 by a tally. */
  link_up(&r);
  give_stream(&r, v.bytes, 6);
  run(&r, 30);
  give(&r, message, 4);
  message[1] = 1, give(&r, message, 4);
  give(&r, (const uint8_t[]){ 0x23, 0x80 | 3, 0x80, 0x02, 0x20, 'z' }, 6);
  run(&r, 5);
  CHECK(r.samples == 3 && r.numbers[2] == 5 && r.lost == 3 && r.link.counts.lost == 1 && r.last[0] == 'z');
  give(&r, (const uint8_t[]){ TALLY, 3, 0xC8, 0x01, 2 }, 5);
  message[1] = 200 & 0x7F, give(&r, message, 4);
  run(&r, 5);
  CHECK(r.samples == 4 && r.numbers[3] == 202 && r.link.counts.lost == 197);
  run(&r, 1200);
  give_ack(&r);
  CHECK(r.link.inlets[3].said == 197);
  /* One for an alias that is not open. */
  give(&r, (const uint8_t[]){ 0x29, 0, 0, 'q' }, 4);
  run(&r, 5);
  CHECK(r.samples == 4 && bowline_is_up(&r.link));

  /* Lossless: beyond the credit is a fault. */
  link_up(&r);
  give_stream(&r, (const uint8_t[]){ 5, 7, 0, 0, 6, 5 }, 6);
  run(&r, 30);
  for (i = 0; i < 4; i++) {
    give_stream(&r, (const uint8_t[]){ 4, 0x25, 0, 0, 'l' }, 5);
    run(&r, 3);
  }
  run(&r, 20);
  CHECK(r.samples == 4 && r.link.inlets[5].granted == 8);
  r.link.inlets[5].granted = 4;
  give_stream(&r, (const uint8_t[]){ 4, 0x25, 0, 0, 'l' }, 5);
  run(&r, 20);
  CHECK(bye_code(&r, 0) == NO_CREDIT && r.samples == 4);
}

static void loose_out(void) {
  block v = vector("hex vector", "interests-latest"), c = vector("hex vector", "credit-unlimited");
  unsigned i;
  link_up(&r);
  give_stream(&r, v.bytes, v.size);
  run(&r, 30);
  c.bytes[2] = 0;
  give_stream(&r, c.bytes, c.size);
  run(&r, 30);
  give_ack(&r);
  run(&r, 30);
  for (i = 0; i < 130; i++) {
    CHECK(bowline_send(&r.link, 0, "12345678", 8) == BOWLINE_SENT);
    run(&r, 2);
  }
  CHECK(r.loose == 130 && r.loose_order[129] == 1);
  CHECK(r.tallies >= 2 && r.tally[1] == 0);
  /* A line that takes nothing: dropped, counted, said. */
  r.from = sizeof r.from_board;
  for (i = 0; i < 100; i++) bowline_send(&r.link, 0, "12345678", 8);
  CHECK(r.link.counts.dropped > 40 && r.link.counts.dropped < 100);
  r.from = 0;
  run(&r, 5);
  CHECK(bowline_send(&r.link, 0, "12345678", 8) == BOWLINE_SENT);
  run(&r, 5);
  CHECK(r.link.outlets[0].next == 231 && !r.link.outlets[0].unsaid);
  CHECK(r.loose + r.link.counts.dropped == 231);
}

/* Lossless out: TIME and stamps as in the stream of the page, stop at the limit. */
static void lossless_out(void) {
  block v = vector("hex vector", "interests-latest");
  static const uint8_t message[] = { 4, 0x20, 0, 0, 'a' };
  unsigned i;
  link_up(&r);
  v.bytes[v.size - 2] = 2, v.bytes[v.size - 1] = 4;
  give_stream(&r, v.bytes, v.size);
  run(&r, 30);
  give_stream(&r, (const uint8_t[]){ 5, 8, 0, 4, 0, 0 }, 6);
  run(&r, 30);
  give_ack(&r);
  for (i = 0; i < 4; i++) {
    CHECK(bowline_send(&r.link, 0, "abcd" + i, 1) == BOWLINE_SENT);
    run(&r, i == 2 ? 20 : 1);
  }
  CHECK(bowline_send(&r.link, 0, "e", 1) == BOWLINE_BUSY);
  CHECK(!memcmp(r.stream_in + r.stream_in_size - 20, message, 5));
  CHECK(r.stream_in[r.stream_in_size - 29] == TIME);
  CHECK(r.stream_in[r.stream_in_size - 13] == 0xE8 && r.stream_in[r.stream_in_size - 12] == 0x03);     /* 1000 */
  CHECK(r.stream_in[r.stream_in_size - 3] == 0x88 && r.stream_in[r.stream_in_size - 2] == 0x33);       /* 20000 */
  CHECK(bowline_is_up(&r.link));
}

static void repair(void) {
  block v = vector("hex vector", "interests-latest");
  uint32_t before;
  link_up(&r);
  /* A segment that is early is not taken; doubled ones do no harm. */
  before = r.link.next;
  give_segment_at(&r, r.sent + 10, v.bytes + 10, v.size - 10);
  run(&r, 5);
  CHECK(r.link.next == before);
  give_segment_at(&r, r.sent, v.bytes, 10);
  give_segment_at(&r, r.sent, v.bytes, 10);
  give_segment_at(&r, r.sent + 5, v.bytes + 5, v.size - 5);
  run(&r, 40);
  CHECK(r.link.next == before + v.size && r.link.outlets[0].state == ASSIGNED);
  /* NOTIFY linked is not acknowledged: it comes again until it is. */
  before = r.link.counts.repeats;
  run(&r, 3000);
  CHECK(r.link.counts.repeats > before + 2 && r.link.counts.repeats < before + 12);
  give_ack(&r);
  run(&r, 3);
  CHECK(r.link.una == r.link.end);
}

static void lives(void) {
  uint8_t ping[9] = { PACKET_PING, 1, 2, 3, 4, 5, 6, 7, 8 };
  unsigned i;
  link_up(&r);
  for (i = 0; i < 10; i++) {
    give(&r, ping, 9);
    run(&r, 1000);
  }
  CHECK(r.pongs == 10 && r.pings >= 10 && r.pings <= 12 && bowline_is_up(&r.link));
  /* Noise and text on the line cost nothing. */
  memcpy(r.to_board, "Guru Meditation\r\n\0\1\2\3\0\377\0", 24);
  r.to = 24;
  give(&r, ping, 9);
  run(&r, 5);
  CHECK(r.pongs == 11 && r.link.counts.noise == 3);
  /* Silence. */
  run(&r, 3800);
  CHECK(!bowline_is_up(&r.link) && r.events[BOWLINE_DOWN] == 1 && r.last_event == SILENT);
  /* Who has no connection says so, not more than ten times a second. */
  i = r.resets;
  for (unsigned k = 0; k < 100; k++) {
    give(&r, ping, 9);
    run(&r, 10);
  }
  CHECK(r.resets >= i + 9 && r.resets <= i + 11);
  give_open(&r, 99);
  run(&r, 5);
  CHECK(r.opened == 2);
  /* The same OPEN again: the same answer; another one: anew. */
  block initial = vector("hex vector", "handshake-initial-dialler"), final = vector("hex vector", "handshake-final");
  uint64_t session = r.link.session;
  give_open(&r, 99);
  run(&r, 5);
  CHECK(r.opened == 3 && r.link.state == OPENED_UP && r.link.session == session);
  give_stream(&r, initial.bytes, initial.size);
  run(&r, 5);
  CHECK(r.link.state == SHAKING);
  r.link.session = 0x1122334455667788;
  give_stream(&r, final.bytes, final.size);
  give_ack(&r);
  run(&r, 5);
  (void)final;
  give_open(&r, 100);
  run(&r, 5);
  CHECK(r.opened == 4 && r.link.state == OPENED_UP);
}

static void says_bye(void) {
  link_up(&r);
  bowline_close(&r.link);
  run(&r, 5);
  CHECK(bye_code(&r, 0) == CLOSING);
  give_ack(&r);
  run(&r, 260);
  CHECK(r.link.state == IDLE && r.events[BOWLINE_DOWN] == 1 && r.last_event == CLOSING);
}

int main(int argc, char **argv) {
  FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
  size_t n;
  if (!file) return fprintf(stderr, "usage: test PROTOCOL.md\n"), 2;
  page = malloc(1 << 20);
  n = fread(page, 1, (1 << 20) - 1, file);
  page[n] = 0;
  fclose(file);
  payloads(), numbers(), handshake(), handshakes_refused(), refusals(), frames(), refused_for_room(), samples(), loose_out(), lossless_out();
  repair(), lives(), says_bye();
  free(page);
  printf("bowline.c: %d passed, %d failed\n", checks - failures, failures);
  return failures != 0;
}
