// What benches/stages.py takes for the floor: multiply-adds of 16-bit integers a nanosecond, by instruction set, as
// fast as the units do them with nothing to load; and bytes a nanosecond that are read of so many, and stored to so
// many, again and again, past the cache where rows are.
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// As rows are: rows/bands.rs.
static const size_t PAST_THE_CACHE = 16 << 20;

enum { CHAINS = 12, TURNS = 1 << 20, TIMES = 30 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

// Sums in so many chains, of which each waits for itself alone: in assembly, as a compiler would add products up.
__attribute__((target("avx2"))) static int avx2(void) {
    __m256i samples = _mm256_set1_epi16(3), weights = _mm256_set1_epi16(5);
    __m256i sums[CHAINS], product;
#pragma GCC unroll 16
    for (int chain = 0; chain < CHAINS; chain++) sums[chain] = _mm256_setzero_si256();
    for (int turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 16
        for (int chain = 0; chain < CHAINS; chain++)
            __asm__ volatile("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
                             : "+x"(sums[chain]), "=&x"(product)
                             : "x"(samples), "x"(weights));
    }
    return _mm256_extract_epi32(sums[0], 0);
}

__attribute__((target("avx512f,avx512vnni"))) static int avx512(void) {
    __m512i samples = _mm512_set1_epi32(3), weights = _mm512_set1_epi32(5);
    __m512i sums[CHAINS];
#pragma GCC unroll 16
    for (int chain = 0; chain < CHAINS; chain++) sums[chain] = _mm512_setzero_si512();
    for (int turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 16
        for (int chain = 0; chain < CHAINS; chain++)
            __asm__ volatile("vpdpwssd %2, %1, %0" : "+v"(sums[chain]) : "v"(samples), "v"(weights));
    }
    return _mm_cvtsi128_si32(_mm512_castsi512_si128(sums[0]));
}

static size_t to_read, to_write;
static __m256i *memory;

__attribute__((target("avx2"))) static int reading(void) {
    __m256i all = _mm256_setzero_si256();
    for (size_t at = 0; at < to_read / 32; at++) all = _mm256_or_si256(all, _mm256_load_si256(memory + at));
    return _mm256_extract_epi32(all, 0);
}

__attribute__((target("avx2"))) static int writing(void) {
    __m256i value = _mm256_set1_epi8(1);
    if (to_write < PAST_THE_CACHE)
        for (size_t at = 0; at < to_write / 32; at++) _mm256_store_si256(memory + at, value);
    else
        for (size_t at = 0; at < to_write / 32; at++) _mm256_stream_si256(memory + at, value);
    __asm__ volatile("sfence" ::: "memory");
    return 0;
}

// The most in a nanosecond, of so many that are done at once.
static void report(const char *name, double count, int (*run)(void)) {
    double least = 1e18;
    volatile int result = 0;
    for (int time = 0; time < TIMES; time++) {
        double start = now();
        result += run();
        double spent = now() - start;
        if (spent < least) least = spent;
    }
    printf("%s %.2f\n", name, count / least);
}

// Bytes that are read, bytes that are written.
int main(int argc, char **argv) {
    if (argc != 3 || !__builtin_cpu_supports("avx2")) return 1;
    to_read = strtoull(argv[1], NULL, 10);
    to_write = strtoull(argv[2], NULL, 10);
    size_t size = (to_read > to_write ? to_read : to_write) / 64 * 64 + 64;
    memory = aligned_alloc(64, size);
    if (memory == NULL) return 1;
    memset(memory, 1, size);
    report("read", (double)to_read, reading);
    report("written", (double)to_write, writing);
    report("avx2", 16.0 * CHAINS * TURNS, avx2);
    // All that the library asks for.
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni"))
        report("avx512", 32.0 * CHAINS * TURNS, avx512);
    return 0;
}
