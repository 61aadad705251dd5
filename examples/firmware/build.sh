#!/bin/sh
# Builds the firmware and its tests: build.sh WHAT OUT
#   host      OUT/imu_board, the board's program as a process
#   test      OUT/test, and runs it with AddressSanitizer and UBSan on the vectors of PROTOCOL.md
#   fuzz      OUT/fuzz, with clang's libFuzzer
#   firmware  OUT/firmware.elf for mps2-an385
#   sizes     compiles the client alone for a Cortex-M3 and prints what it takes; fails if it grows
set -eu
here=$(cd "$(dirname "$0")" && pwd)
what=$1
out=$2
mkdir -p "$out"
warn="-std=c99 -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror -pedantic"
cross="arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -Os -ffreestanding -ffunction-sections -fdata-sections"
# These make it smaller with this compiler; without them it is 4 % larger and just as right.
cross="$cross -fno-thread-jumps -fno-move-loop-invariants -fno-inline-functions-called-once -fno-tree-tail-merge"
cross="$cross -fno-schedule-insns2 -fno-if-conversion -fno-ipa-pure-const -fno-ipa-sra -fno-ipa-cp -fno-caller-saves"
cross="$cross -fno-tree-loop-im -fno-forward-propagate"
sanitize="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined"

case $what in
host)
  ${CC:-cc} $warn ${SANITIZE:+$sanitize} -I"$here" -o "$out/imu_board" \
    "$here/host/imu_board.c" "$here/demo/demo.c" "$here/bowline.c"
  ;;
test)
  ${CC:-cc} -std=gnu11 -Wall -Wextra $sanitize -o "$out/test" "$here/host/test.c"
  "$out/test" "$here/../../src/wire/PROTOCOL.md"
  ;;
fuzz)
  clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o "$out/fuzz" "$here/host/fuzz.c"
  ;;
firmware)
  $cross $warn -fno-tree-loop-distribute-patterns -I"$here" -nostdlib -nostartfiles -Wl,--gc-sections -T "$here/board/mps2.ld" \
    -o "$out/firmware.elf" "$here/board/board.c" "$here/demo/demo.c" "$here/bowline.c" -lgcc
  arm-none-eabi-size "$out/firmware.elf"
  ;;
sizes)
  $cross $warn -c -o "$out/bowline.o" "$here/bowline.c"
  printf '#include "bowline.h"\nchar ram[sizeof(bowline)];\n' > "$out/ram.c"
  $cross -fstack-usage -I"$here" -c -o "$out/ram.o" "$out/ram.c"
  $cross -fstack-usage -c -o "$out/stack.o" "$here/bowline.c"
  # Sections of the payload helpers are counted apart: only those a program uses are linked into it.
  code=$(arm-none-eabi-size -A -d "$out/bowline.o" | awk '/^\.(text|rodata)/ && !/bowline_(put|get)_|_sized/ { n += $2 } END { print n }')
  helpers=$(arm-none-eabi-size -A -d "$out/bowline.o" | awk '/^\.text.*(bowline_(put|get)_|_sized)/ { n += $2 } END { print n }')
  ram=$(arm-none-eabi-size -d "$out/ram.o" | awk 'NR == 2 { print $2 + $3 }')
  stack=$(awk '{ n += $2; if ($1 ~ /:eat$/) n += $2 } END { print n }' "$out/stack.su")
  # All functions within each other, and the one that calls itself once twice: more than there ever is.
  echo "bowline.c, Cortex-M3, -Os: $code bytes of code of 6144; all payload helpers $helpers more"
  echo "RAM beside the buffers: $ram bytes of 1024; stack: below $stack bytes"
  test "$code" -le 6144 && test "$ram" -le 1024
  ;;
*)
  sed -n '2,7p' "$0"
  exit 2
  ;;
esac
