/* Tells libFuzzer which code of the C library was run: it looks at all counters in a section of this
 * name. GCC has a function called at every branch, which libFuzzer defines but does not serve; the
 * linker puts this one in its place. */
#include <stdint.h>

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[1 << 16];

__attribute__((no_sanitize_coverage, no_sanitize_address)) void
__wrap___sanitizer_cov_trace_pc(void) {
    uintptr_t from = (uintptr_t)__builtin_return_address(0);
    counters[(from ^ from >> 16) % sizeof counters]++;
}
