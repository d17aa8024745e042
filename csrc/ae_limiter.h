/* ae_limiter.h - look-ahead true-peak limiter: one gain for all channels, a ceiling that holds.
 *
 * Method (Hamalainen, DAFx 2002): the gain each frame needs, from the interpolated peak
 * (ae_true_peak); its minimum over the look-ahead; release; a smoothing window as long as the
 * look-ahead. When a peak leaves the delay line every gain under the window is at or below the one
 * it needs, so their mean is too: the ceiling holds by construction, without clipping. The window
 * is three moving sums in a row (close to a Gaussian) over gains rounded down to 2^-24: sums of
 * integers, so they neither drift nor depend on history. The running minimum doubles its width
 * (log2 passes that vectorise), so no block costs more than another of its kind.
 *
 * Release: towards the smaller of the needed gain and its slow mean. A lone peak is over in
 * release_ms; after long limiting the gain returns with the mean, slowly, and low notes do not
 * ripple. Signals under the ceiling pass as an exact delayed copy.
 *
 * Latency: ae_limiter_latency_frames, at most lookahead_ms + 0.5 ms (from 3.3 ms of look-ahead).
 * Cost: 66 multiply-adds per sample near the ceiling, a copy below a third of it. */
#ifndef AE_LIMITER_H
#define AE_LIMITER_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_limiter ae_limiter;

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int channels;       /* 1 .. 8 */
    float ceiling_dbtp; /* -20 .. 0 */
    float lookahead_ms; /* 1 .. 10 */
    float release_ms;   /* 10 .. 1000, time constant of the gain's return */
} ae_limiter_config;

typedef struct {
    float reduction_db;     /* most in the last block, >= 0 */
    float max_reduction_db; /* most since create or reset */
    int64_t limited_frames; /* frames turned down since create or reset */
} ae_limiter_report;

ae_limiter_config ae_limiter_default_config(int sample_rate_hz);
ae_status ae_limiter_create(ae_limiter **out, const ae_limiter_config *config);
void ae_limiter_destroy(ae_limiter *self);
void ae_limiter_reset(ae_limiter *self);
/* Go on as if it had been given all that `from` was; both made from the same configuration. Counts
 * of the report are taken over too. */
void ae_limiter_copy_state(ae_limiter *self, const ae_limiter *from);
/* One block of ae_block_frames. out may equal in. */
void ae_limiter_process(ae_limiter *self, const float *const *in, float *const *out);
/* Moves by at most 1 dB per block, on the input side of the delay. */
void ae_limiter_set_ceiling_dbtp(ae_limiter *self, float ceiling_dbtp);
int ae_limiter_latency_frames(const ae_limiter *self);
void ae_limiter_read(const ae_limiter *self, ae_limiter_report *out);
/* ffi:end */

#endif
