/* ae_bypass.h - the way around a step's kernel: its input, exactly as late as the kernel's output,
 * and a cross-fade of one block between the two.
 *
 * The delay line takes every block, heard or not, so that the way around is there at once. Fades
 * are linear: both ways carry the same signal, which adds in amplitude.
 * Latency: latency_frames of its create. Cost: two copies of a block per channel; none without
 * latency while the kernel alone is heard. Thread: audio, no allocation. */
#ifndef AE_BYPASS_H
#define AE_BYPASS_H

#include "ae_common.h"

typedef struct {
    int channels;
    int block_frames;
    int latency_frames;
    float *lines[AE_MAX_CHANNELS]; /* the last latency_frames of input, then the newest block */
} ae_bypass;

/* Lay the planes out in the owner's arena; on a measuring arena nothing is written. */
void ae_bypass_lay_out(ae_bypass *self, ae_arena *arena, int channels, int block_frames,
                       int latency_frames);
void ae_bypass_reset(ae_bypass *self);
/* Continue where another of the same shape is; a different shape is left alone. */
void ae_bypass_copy(ae_bypass *self, const ae_bypass *from);
/* Take a block in, before the kernel overwrites it in place. */
void ae_bypass_take(ae_bypass *self, const float *const *in);
/* out: what the kernel made of the block taken; becomes a fade between it and the delayed input.
 * from, to: share of the kernel's output at the start and at the end of the block, 0 or 1. */
void ae_bypass_mix(const ae_bypass *self, float *const *out, float from, float to);
/* Done with the block taken: the delay line moves on. */
void ae_bypass_advance(ae_bypass *self);

#endif
