#include "ae_common.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

enum { k_alignment = 64 }; /* bytes: one cache line, and the widest vector register */

static _Thread_local uint64_t allocations;
static _Thread_local uint64_t allocated_bytes;
static _Thread_local ae_heap *chosen_heap;

const char *ae_status_text(ae_status status)
{
    switch (status) {
    case AE_OK: return "ok";
    case AE_ERROR_ARGUMENT: return "a configuration field is outside its range";
    case AE_ERROR_MEMORY: return "out of memory";
    case AE_ERROR_FULL: return "the queue is full";
    }
    return "unknown status";
}

const char *ae_kernel_build(void)
{
#if defined(__AVX2__) && defined(__FMA__)
    return "x86-64-v3";
#else
    return "baseline";
#endif
}

int ae_cpu_has_v3(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

uint64_t ae_allocation_count(void) { return allocations; }
uint64_t ae_allocated_bytes(void) { return allocated_bytes; }

int ae_block_frames(int sample_rate_hz) { return (sample_rate_hz + 50) / 100; }

void ae_allocate_from(ae_heap *heap) { chosen_heap = heap; }

/* In front of every object: where it came from. */
typedef union {
    ae_heap *heap; /* NULL: the process's own memory */
    unsigned char line[k_alignment];
} ae_origin;

void *ae_allocate(size_t bytes)
{
    const size_t wanted = bytes > 0 ? bytes : 1;
    const size_t rounded = (wanted + k_alignment - 1) / k_alignment * k_alignment;
    const size_t total = sizeof(ae_origin) + rounded;
    ae_origin *origin =
        chosen_heap != NULL ? ae_heap_take(chosen_heap, total) : aligned_alloc(k_alignment, total);
    allocations++;
    allocated_bytes += total;
    if (origin == NULL) return NULL;
    origin->heap = chosen_heap;
    return memset(origin + 1, 0, rounded);
}

void ae_free(void *memory)
{
    if (memory == NULL) return;
    ae_origin *origin = (ae_origin *)memory - 1;
    if (origin->heap != NULL) {
        ae_heap_give(origin->heap, origin);
    } else {
        free(origin);
    }
}

void *ae_arena_take(ae_arena *arena, int count, size_t element_bytes)
{
    const size_t bytes = (size_t)count * element_bytes;
    void *taken = arena->base == NULL ? NULL : arena->base + arena->used;
    arena->used += (bytes + k_alignment - 1) / k_alignment * k_alignment;
    return taken;
}

#if defined(__SSE__)
static const unsigned int k_flush_to_zero = 0x8040u; /* MXCSR: FTZ (bit 15) and DAZ (bit 6) */

ae_fp_mode ae_fp_enter(void)
{
    const ae_fp_mode mode = {_mm_getcsr()};
    _mm_setcsr((unsigned int)mode.saved | k_flush_to_zero);
    return mode;
}

void ae_fp_leave(ae_fp_mode mode)
{
    /* Keep the exception flags raised meanwhile; give back the control bits. */
    _mm_setcsr((_mm_getcsr() & ~k_flush_to_zero) | ((unsigned int)mode.saved & k_flush_to_zero));
}
#elif defined(__aarch64__)
static const uint64_t k_flush_to_zero = (uint64_t)1 << 24; /* FPCR.FZ */

ae_fp_mode ae_fp_enter(void)
{
    ae_fp_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode.saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode.saved | k_flush_to_zero));
    return mode;
}

void ae_fp_leave(ae_fp_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode.saved)); }
#else
ae_fp_mode ae_fp_enter(void)
{
    const ae_fp_mode mode = {0};
    return mode;
}

void ae_fp_leave(ae_fp_mode mode) { (void)mode; }
#endif
