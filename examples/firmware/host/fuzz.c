/* A libFuzzer target: a peer that says anything. The first byte chooses how the rest is given:
 * raw bytes; packets with the right checksum; or, behind a handshake, the stream with the right offsets.
 * Encode first where a checksum guards the door. */
#include "../bowline.c"

#include <stdlib.h>
#include <string.h>

static bool blocked;

static uint8_t line[4096];
static size_t line_size, line_read;

static size_t give_bytes(void *user, uint8_t *bytes, size_t room) {
  size_t n = line_size - line_read < room ? line_size - line_read : room;
  (void)user;
  memcpy(bytes, line + line_read, n);
  line_read += n;
  if (line_read == line_size) line_read = line_size = 0;
  return n;
}

static size_t take_bytes(void *user, const uint8_t *bytes, size_t size) {
  volatile uint8_t sum = 0;
  (void)user;
  for (size_t i = 0; i < size; i++) sum ^= bytes[i];
  return blocked ? 0 : size;
}

static void on_sample(void *user, uint8_t route, const bowline_sample *sample) {
  volatile uint8_t sum = route;
  bowline_reader r = { sample->payload, sample->payload + sample->size, false };
  (void)user;
  for (size_t i = 0; i < sample->size; i++) sum ^= sample->payload[i];
  bowline_get_uint(&r, 1000), bowline_get_bool(&r), bowline_get_int(&r, 1000), bowline_get_f64(&r);
}

static void on_event(void *user, bowline_event event, uint8_t what) { (void)user, (void)event, (void)what; }

/* Through the COBS of the client's own sender, which is tested elsewhere. */
static void wrap(bowline *b, const uint8_t *content, size_t size) {
  static uint8_t space[2048];
  static bowline_config config;
  bowline other = { 0 };
  config = *b->config;
  config.transmit = space;
  config.transmit_size = sizeof space;
  other.config = &config;
  other.n = 0;
  packet_out(&other, content, size);
  memcpy(line, space, other.tail);
  line_size = other.tail;
  line_read = 0;
}

static void segment_in(bowline *b, const uint8_t *bytes, size_t size) {
  uint8_t content[5 + 256] = { SEGMENT };
  for (int i = 0; i < 4; i++) content[1 + i] = (uint8_t)(b->next >> 8 * i);
  memcpy(content + 5, bytes, size);
  wrap(b, content, size + 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t instance[16] = { 1, 2, 3 }, digest[32] = { 9 };
  static const uint8_t open[] = { OPEN, 'B', 'W', 'L', 'P', 1, 1, 2, 3, 4, 0, 4, 0, 16, 0, 0, 0 };
  static const bowline_route routes[] = {
    { .type = "A", .path = "m.a", .fingerprint = 1, .kind = BOWLINE_INTENT },
    { .type = "B", .path = "m.b", .fingerprint = 2, .kind = BOWLINE_INTEREST, .delivery = BOWLINE_LOSSLESS, .depth = 8 },
    { .type = "C", .path = "m.c", .fingerprint = 3, .kind = BOWLINE_INTEREST },
    { .path = "m", .digest = digest, .fingerprint = 4, .codec = "raw", .kind = BOWLINE_INTENT },
  };
  /* On the heap and just as large as needed, so that a byte too far is seen. */
  uint8_t *receive = malloc(160), *transmit = malloc(256), *stream = malloc(224), *message = malloc(24);
  bowline *b = malloc(sizeof *b);
  bowline_config config = {
    .path = "m", .instance = instance, .routes = routes, .route_count = 4, .read = give_bytes, .write = take_bytes,
    .sample = on_sample, .event = on_event, .receive = receive, .receive_size = 160, .transmit = transmit,
    .transmit_size = 256, .stream = stream, .stream_size = 224, .message = message, .message_size = 24, .baud = 115200,
  };
  uint64_t now = 0;
  uint8_t mode;

  mode = size ? *data : 0;
  if (size) data++, size--;
  line_size = line_read = 0;
  blocked = false;
  if (!bowline_init(b, &config, now)) abort();
  if (mode & 2) {
    wrap(b, open, sizeof open);
    bowline_poll(b, now += 1000);
    if (mode & 4) up(b);
  }
  while (size) {
    size_t n = *data % 64u + 1;
    data++, size--;
    if (n > size) n = size;
    if (!(mode & 1)) {
      memcpy(line, data, n);
      line_size = n;
      line_read = 0;
    } else if (mode & 2 && n && data[0] & 0x40) {
      segment_in(b, data + 1, n - 1);
    } else {
      wrap(b, data, n);
    }
    data += n, size -= n;
    blocked = mode & 8 && n & 1;
    bowline_poll(b, now += mode & 16 ? 300000 : 1000);
    bowline_send(b, 0, receive, n);
    bowline_send(b, 3, message, 5);
    /* Everything the peer sent is acknowledged, so that the stream goes on. */
    if (mode & 32) acked(b, b->nxt, 1000, false);
    if (b->head > b->tail || b->tail > 256 || b->end - b->una > 224 || b->state > UP) abort();
  }
  if (mode & 64) bowline_close(b);
  for (int i = 0; i < 8; i++) bowline_poll(b, now += 200000);
  free(receive), free(transmit), free(stream), free(message), free(b);
  return 0;
}
