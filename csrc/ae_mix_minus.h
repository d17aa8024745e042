/* ae_mix_minus.h - what one participant hears: the sum without himself, through a limiter of its
 * own, or, while his microphone is closed, simply the programme.
 *
 * The two differ only in the limiter's gain history, so the way over is the limiter's state: when
 * the microphone opens, the programme limiter's is copied. When it has closed, the own limiter runs
 * on until both turn down alike (at most 1 s), and is faded over to the programme in one block.
 * Latency: the limiter's. Cost: the limiter's while open and up to 1 s after, else
 * none. Thread: audio. */
#ifndef AE_MIX_MINUS_H
#define AE_MIX_MINUS_H

#include "ae_limiter.h"

typedef struct {
    ae_limiter *limiter;
    int latency_blocks; /* of the limiter, rounded up */
    int own;            /* 1: this block is not the programme */
    int fades_over;     /* 1: in this block it became the programme again */
    int closed_blocks;  /* since the microphone was last heard */
} ae_mix_minus;

ae_status ae_mix_minus_init(ae_mix_minus *self, const ae_limiter_config *config);
void ae_mix_minus_reset(ae_mix_minus *self);
void ae_mix_minus_free(ae_mix_minus *self);
/* Before the programme limiter runs: whether this block needs its own mix. */
void ae_mix_minus_begin(ae_mix_minus *self, int heard, const ae_limiter *programme);
/* After it: limit rows in place when own; `programme` is what left the programme limiter. */
void ae_mix_minus_end(ae_mix_minus *self, int heard, const ae_limiter *limiter,
                      const float *const *programme, int channels, int frames, float *const *rows);

#endif
