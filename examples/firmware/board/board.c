/* mps2-an385 (a Cortex-M3 that QEMU has): vectors, clock, and a UART that works by interrupts. */
#include "../demo/demo.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* The CMSDK UART. */
#define UART_DATA REGISTER(0x40004000)
#define UART_STATE REGISTER(0x40004004)
#define UART_CONTROL REGISTER(0x40004008)
#define UART_INTERRUPT REGISTER(0x4000400C)
#define UART_DIVIDER REGISTER(0x40004010)
enum { UART_SENDING = 1, UART_TX = 1, UART_RX = 2, UART_OVERRUN = 8 };

/* What every Cortex-M has. */
#define SYSTICK_CONTROL REGISTER(0xE000E010)
#define SYSTICK_RELOAD REGISTER(0xE000E014)
#define SYSTICK_VALUE REGISTER(0xE000E018)
#define INTERRUPTS_ON REGISTER(0xE000E100)
#define RESET_CONTROL REGISTER(0xE000ED0C)

enum { CLOCK_MHZ = 25, BAUD = 115200, WATCHDOG_MILLIS = 3000 };

extern uint32_t data_begin[], data_end[], data_load[], bss_begin[], bss_end[], stack_top[];

/* ---- time and reset ---- */

static volatile uint32_t millis, unfed;

static void restart(void) {
  RESET_CONTROL = 0x05FA0004;
  for (;;) {}
}

static void tick(void) {
  millis++;
  if (++unfed > WATCHDOG_MILLIS) restart();
}

/* In microseconds since the start. It wraps with `millis` after 49 days, which a real board should mend. */
static uint64_t now(void) {
  uint32_t before, part;
  do {
    before = millis;
    part = SYSTICK_VALUE;
  } while (before != millis);
  return (uint64_t)before * 1000 + (CLOCK_MHZ * 1000 - 1 - part) / CLOCK_MHZ;
}

/* ---- the UART ---- */

enum { RING = 256 };

static uint8_t rx[RING], tx[RING];
static volatile uint32_t rx_in, rx_out, tx_in, tx_out;

static void uart_rx(void) {
  UART_INTERRUPT = UART_RX | UART_OVERRUN;
  while (UART_STATE & 2) {
    uint8_t byte = (uint8_t)UART_DATA;
    if (rx_in - rx_out < RING) rx[rx_in++ % RING] = byte;      /* else it is lost, and the packet with it */
  }
}

static void uart_tx(void) {
  UART_INTERRUPT = UART_TX;
  while (tx_out != tx_in && !(UART_STATE & UART_SENDING)) UART_DATA = tx[tx_out++ % RING];
}

static size_t uart_read(void *user, uint8_t *bytes, size_t room) {
  size_t n = 0;
  (void)user;
  while (n < room && rx_out != rx_in) bytes[n++] = rx[rx_out++ % RING];
  return n;
}

static size_t uart_write(void *user, const uint8_t *bytes, size_t size) {
  size_t n = 0;
  (void)user;
  while (n < size && tx_in - tx_out < RING) {
    tx[tx_in % RING] = bytes[n++];
    tx_in++;
  }
  __asm volatile("cpsid i" ::: "memory");
  uart_tx();                    /* starts it where it is idle; the interrupt goes on */
  __asm volatile("cpsie i" ::: "memory");
  return n;
}

/* ---- the start ---- */

/* Kept over resets, so that each start has another instance. A real board takes its random number generator, or its
 * own number and a counter in flash. */
static uint8_t instance[16] __attribute__((section(".kept")));

static void hang(void) {
  for (;;) __asm volatile("wfi");
}

void reset(void);
void reset(void) {
  static const demo_board board = { uart_read, uart_write, restart, hang, instance };
  uint32_t *to, *from = data_load;
  unsigned i;
  for (to = data_begin; to < data_end;) *to++ = *from++;
  for (to = bss_begin; to < bss_end;) *to++ = 0;
  for (i = 0; i < 16 && !++instance[i]; i++) {}
  instance[15] = 0xB0;

  SYSTICK_RELOAD = CLOCK_MHZ * 1000 - 1;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = 7;
  UART_DIVIDER = CLOCK_MHZ * 1000000 / BAUD;
  UART_CONTROL = 0xF;
  INTERRUPTS_ON = 3;
  demo_start(&board, now());
  for (;;) {
    unfed = 0;
    demo_step(now());
    __asm volatile("wfi");      /* until the next byte or millisecond */
  }
}

void *memcpy(void *to, const void *from, size_t size) {
  uint8_t *a = to;
  const uint8_t *b = from;
  while (size--) *a++ = *b++;
  return to;
}

void *memset(void *to, int byte, size_t size) {
  uint8_t *a = to;
  while (size--) *a++ = (uint8_t)byte;
  return to;
}

typedef union {
  uint32_t *stack;
  void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16 + 2] = {
  [0] = { .stack = stack_top }, [1] = { .handler = reset }, [2] = { .handler = restart }, [3] = { .handler = restart },
  [4] = { .handler = restart }, [5] = { .handler = restart }, [6] = { .handler = restart }, [15] = { .handler = tick },
  [16] = { .handler = uart_rx }, [17] = { .handler = uart_tx },
};
