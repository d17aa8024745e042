/* ae_common.h - status codes, the counted one-block allocator, and the floating-point mode guard.
 *
 * Every kernel object is one zeroed, 64-byte aligned allocation, cut into planes by an ae_arena:
 * its layout function runs once to measure (base NULL) and once to hand out memory. All allocation
 * goes through ae_allocate, which counts per thread, so a test can prove that processing allocates
 * nothing. A thread may choose the heap that its objects come from. Thread: any; no shared state.
 */
#ifndef AE_COMMON_H
#define AE_COMMON_H

#include "ae_heap.h"

#include <stddef.h>
#include <stdint.h>

/* ffi:begin */
typedef enum {
    AE_OK = 0,
    AE_ERROR_ARGUMENT = 1, /* a configuration field is outside its range */
    AE_ERROR_MEMORY = 2,   /* the allocation failed */
    AE_ERROR_FULL = 3,     /* a queue has no room */
} ae_status;

const char *ae_status_text(ae_status status);
/* "baseline" or "x86-64-v3": the instruction set these sources were compiled for. */
const char *ae_kernel_build(void);
/* 1 when this processor runs the x86-64-v3 build (AVX2, FMA, BMI2), else 0. */
int ae_cpu_has_v3(void);
/* Number of ae_allocate calls made so far by the calling thread. */
uint64_t ae_allocation_count(void);
/* Number of bytes they asked for. */
uint64_t ae_allocated_bytes(void);
/* Make the calling thread's next objects in `heap`; NULL: in the process's own memory. An object
 * goes back to where it came from, whichever thread destroys it. */
void ae_allocate_from(ae_heap *heap);
/* Frames of one internal 10 ms block at a sample rate: round(rate / 100). 480 at 48 kHz. */
int ae_block_frames(int sample_rate_hz);
/* ffi:end */

#define AE_MIN_RATE_HZ 8000
#define AE_MAX_RATE_HZ 96000
#define AE_MAX_CHANNELS 8

/* Zeroed, 64-byte aligned memory, or NULL. Control thread only. */
void *ae_allocate(size_t bytes);
void ae_free(void *memory);

typedef struct {
    unsigned char *base; /* NULL while measuring */
    size_t used;         /* bytes, a multiple of 64 */
} ae_arena;

/* The next `count` elements of `element_bytes`, 64-byte aligned; NULL while measuring. */
void *ae_arena_take(ae_arena *arena, int count, size_t element_bytes);
#define AE_TAKE(arena, count, type) ((type *)ae_arena_take((arena), (count), sizeof(type)))

/* Flush denormals to zero (FTZ and DAZ) from enter to leave; leave restores the caller's mode. */
typedef struct {
    uint64_t saved;
} ae_fp_mode;
ae_fp_mode ae_fp_enter(void);
void ae_fp_leave(ae_fp_mode mode);

#endif
