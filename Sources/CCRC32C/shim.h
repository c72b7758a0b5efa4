#ifndef HYPHA_CCRC32C_SHIM_H
#define HYPHA_CCRC32C_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The processor's instruction for CRC-32C, which Swift has no name for. The functions are emitted into their
   caller's module; there is no library. */

#if defined(__x86_64__)

static inline bool hypha_crc32c_is_available(void) { return __builtin_cpu_supports("sse4.2") != 0; }

#define HYPHA_CRC32C_TARGET __attribute__((target("sse4.2")))
#define HYPHA_CRC32C_WORD(crc, word) ((uint32_t)__builtin_ia32_crc32di((crc), (word)))
#define HYPHA_CRC32C_BYTE(crc, byte) __builtin_ia32_crc32qi((crc), (byte))

#elif defined(__aarch64__) && defined(__linux__) && !defined(__AARCH64EB__)

#include <sys/auxv.h>

/* HWCAP_CRC32 of <asm/hwcap.h>. */
static inline bool hypha_crc32c_is_available(void) { return (getauxval(AT_HWCAP) & (1UL << 7)) != 0; }

#define HYPHA_CRC32C_TARGET __attribute__((target("crc")))
#define HYPHA_CRC32C_WORD(crc, word) __builtin_arm_crc32cd((crc), (word))
#define HYPHA_CRC32C_BYTE(crc, byte) __builtin_arm_crc32cb((crc), (byte))

#else

static inline bool hypha_crc32c_is_available(void) { return false; }

#define HYPHA_CRC32C_TARGET
#define HYPHA_CRC32C_WORD(crc, word) ((void)(word), (crc))
#define HYPHA_CRC32C_BYTE(crc, byte) ((void)(byte), (crc))

#endif

/* Takes `count` bytes into a checksum whose first and last inversion are the caller's. Only where
   hypha_crc32c_is_available() says so. Eight bytes a step, three cycles each. */
HYPHA_CRC32C_TARGET static inline uint32_t hypha_crc32c_update(
    uint32_t crc, const void *_Nullable bytes, size_t count) {
  const uint8_t *next = (const uint8_t *)bytes;
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    __builtin_memcpy(&word, next, 8);
    crc = HYPHA_CRC32C_WORD(crc, word);
  }
  for (; count > 0; count -= 1, next += 1) crc = HYPHA_CRC32C_BYTE(crc, *next);
  return crc;
}

#undef HYPHA_CRC32C_TARGET
#undef HYPHA_CRC32C_WORD
#undef HYPHA_CRC32C_BYTE

#endif
