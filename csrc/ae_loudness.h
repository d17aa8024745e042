/* ae_loudness.h - loudness meter: momentary, short-term, integrated, range, true peak.
 *
 * Method: ITU-R BS.1770-5 (K weighting, channel weights, gates, true peak), EBU Tech 3341 (windows
 * of 400 ms and 3 s, here moved in steps of 10 ms) and Tech 3342 (range). Gating blocks and range
 * blocks are taken every 100 ms, complete blocks only, as the standard says.
 * The gates work on a histogram with exact sums (ae_loudness_gate): fixed memory, any duration. Who
 * has the memory can take the energy of every 100 ms from here instead and gate exactly.
 * True peak is interpolated (ae_true_peak) only where the samples could beat the peak so far.
 *
 * Any block length; the result does not depend on how the stream is cut, to the last bit.
 * Latency: none; momentary and short-term loudness are at most 10 ms old. Cost: 10 multiply-adds
 * per sample, and 66 more with true peak where it is loud. Memory: 330 kB. Thread: audio. */
#ifndef AE_LOUDNESS_H
#define AE_LOUDNESS_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_loudness ae_loudness;

enum { AE_LOUDNESS_KEPT_BLOCKS = 256 }; /* that wait to be taken: 25.6 s */

typedef struct {
    int sample_rate_hz; /* 8000 .. 192000 */
    int channels;       /* 1 .. 8 */
    int true_peak;      /* 0 or 1: measure the peak between the samples */
    /* Weight of each channel's energy, 0 .. 4. All 0: BS.1770-5 for the usual layouts, C = centre,
     * s = side or surround (60 .. 120 degrees, 1.41), b = back (1), F = LFE (0):
     * 1: C; 2: L R; 3: L R C; 4: L R Ls Rs; 5: L R C Ls Rs; 6: L R C F Ls Rs; 7: L R C F Cb Ls Rs;
     * 8: L R C F Lb Rb Ls Rs. A mono file that will play on two loudspeakers: weight 2. */
    float channel_weights[8];
} ae_loudness_config;

typedef struct {
    double momentary_lufs;    /* last 400 ms; -inf in digital silence */
    double short_term_lufs;   /* last 3 s */
    double integrated_lufs;   /* gated, since create or reset; -inf when nothing passed the gate */
    double loudness_range_lu; /* 0 until there are blocks */
    double max_momentary_lufs;
    double max_short_term_lufs;
    double true_peak_dbtp; /* -inf in silence, or when not measured */
    double sample_peak_dbfs;
    int64_t frames;      /* since create or reset */
    int range_is_stable; /* 1 from 60 s on (Tech 3342) */
} ae_loudness_report;

ae_loudness_config ae_loudness_default_config(int sample_rate_hz);
ae_status ae_loudness_create(ae_loudness **out, const ae_loudness_config *config);
void ae_loudness_destroy(ae_loudness *self);
void ae_loudness_reset(ae_loudness *self);
/* Any number of frames; reads only. */
void ae_loudness_process(ae_loudness *self, const float *const *in, int frames);
/* End of the programme: the peaks between its last samples, with silence behind them, are counted.
 */
void ae_loudness_flush(ae_loudness *self);
/* Add what `other` measured, as if both were one programme: gated loudness, range, maxima, frames.
 * Momentary and short-term loudness stay those of `self`. The sample rates may differ. */
void ae_loudness_merge(ae_loudness *self, const ae_loudness *other);
void ae_loudness_read(const ae_loudness *self, ae_loudness_report *out);
/* Copy the energies of the whole 100 ms blocks finished since the last call, oldest first, and
 * return how many: AE_LOUDNESS_KEPT_BLOCKS at most, older ones are gone. An energy is the mean
 * square, channels weighted and added; 4 in a row make a gating block, 30 a range block. */
int ae_loudness_take_blocks(ae_loudness *self, double *energies);
/* ffi:end */

#endif
