/* ae_mask_net.h - a small recurrent net that hears one signal's spectrum, hop by hop of 10 ms, and
 * answers with a gain per point, a filter for each bin below 2 kHz, and how likely speech is.
 *
 * Method: convolutions over frequency around recurrent layers, in turn one that all sub-bands share
 * and one across them, after DPCRN (Le et al. 2021, "DPCRN: Dual-path convolution recurrent network
 * for single channel speech enhancement"); complex filters over a bin's last hops after
 * DeepFilterNet (Schroeter et al. 2022). Different from them: the recurrence over frequency is one
 * dense layer in and out, so a hop needs no loop over bands that waits for itself; hearing is the
 * power of 100 points and how the phase of single bins went on; 0.23 or 0.65 million weights.
 * training/ makes the weights, training/reference.py is the same net in NumPy.
 * Latency: none of its own. Cost: 0.6 (small) or 1.3 (large) million multiplications per hop.
 * Thread: audio; no allocation after create. */
#ifndef AE_MASK_NET_H
#define AE_MASK_NET_H

#include "ae_net_model.h"

/* ffi:begin */
enum {
    AE_MASK_NET_POINTS = 100,
    AE_MASK_NET_SINGLES = 64,
    AE_MASK_NET_TAPS = 3,
    AE_MASK_NET_ASIDE = 3
};

/* What is heard of one hop. */
typedef struct {
    const float *heard;                    /* [points]: features, see training/README.md */
    const float *aside[AE_MASK_NET_ASIDE]; /* [points] each, or NULL: there is no such signal */
    const float *re, *im;                  /* [singles]: the single bins */
} ae_mask_net_hop;

typedef struct {
    float gain[AE_MASK_NET_POINTS]; /* 0 .. 1, amplitude ratio */
    /* Complex factors: the output is gain x (X + tap[0] X + tap[1] X' + tap[2] X''), X' and X''
     * being the bin one and two hops before, turned on as a tone in its middle would be. */
    float tap_re[AE_MASK_NET_TAPS * AE_MASK_NET_SINGLES]; /* [taps][singles] */
    float tap_im[AE_MASK_NET_TAPS * AE_MASK_NET_SINGLES];
    float speech; /* 0 .. 1 */
} ae_mask_net_answer;

typedef struct ae_mask_net ae_mask_net;

/* model: kept, not copied. turns_per_bin: how far the phase of a bin's middle goes on in a hop, per
 * bin: hop over FFT size. */
ae_status ae_mask_net_create(ae_mask_net **out, const ae_net_model *model, float turns_per_bin);
void ae_mask_net_destroy(ae_mask_net *self);
void ae_mask_net_reset(ae_mask_net *self);
/* Whatever hop holds, the answer is finite; gain and speech are 0 .. 1. */
void ae_mask_net_process(ae_mask_net *self, const ae_mask_net_hop *hop, ae_mask_net_answer *answer);
/* ffi:end */

/* exp(2 pi i turns_per_bin k hops) of each single bin k: what turns on a bin of so many hops ago.
 */
void ae_mask_net_turns(float turns_per_bin, int hops, float *re, float *im);

#endif
