/* ae_comparison.h - hear the microphone as it came, at the moment and loudness of the repaired one.
 *
 * The untouched signal goes through a delay as long as the graph's (its latency, and the lip-sync
 * delay if the first graph has one) and takes the place of the processed one by a linear cross-fade
 * of one block, multiplied by a gain that the control side chose so that both are equally loud
 * (between unequal levels the ear judges the level). When the delay changes, the old and the new
 * one cross-fade over one block as well. Cost: a copy per block, and one of the whole delay each
 * time that twice its length is full. Thread: audio; nothing is allocated after create. */
#ifndef AE_COMPARISON_H
#define AE_COMPARISON_H

#include "ae_common.h"

typedef struct ae_comparison ae_comparison;

ae_status ae_comparison_create(ae_comparison **out, int channels, int block_frames,
                               int max_delay_frames);
void ae_comparison_destroy(ae_comparison *self);
/* on: 0 or 1; gain: of the untouched signal. */
void ae_comparison_set(ae_comparison *self, int on, float gain);
/* One block: dry is the microphone, wet the processed signal, changed in place. */
void ae_comparison_process(ae_comparison *self, const float *const *dry, int delay_frames,
                           float *const *wet);

#endif
