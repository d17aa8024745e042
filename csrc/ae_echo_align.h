/* ae_echo_align.h - decides what a newly found lag means for a running echo filter.
 *
 * Two things move a lag: the bulk delay jumped while the room stayed (a device buffer was
 * refilled), or the filter does not sit well around the echo path (first alignment). It keeps a
 * copy of the last echo path that worked. On a new lag, this copy is tried on the last 80 ms at the
 * new delay: if it explains them better than the running filter, full cancellation is back at once,
 * to the sample. If not, the running filter is shifted by whole partitions, which changes no
 * estimate, only which part of the path it can reach. A trial's work is spread over five blocks.
 * Thread: audio; no allocation after create. */
#ifndef AE_ECHO_ALIGN_H
#define AE_ECHO_ALIGN_H

#include "ae_far_end.h"
#include "ae_kalman.h"

typedef struct {
    int sample_rate_hz;
    ae_kalman_config kalman; /* shape of the running filters */
} ae_echo_align_config;

enum { AE_ECHO_ALIGN_BLOCKS = 8 }; /* how much past a trial looks at */

typedef struct ae_echo_align ae_echo_align;

ae_status ae_echo_align_create(ae_echo_align **out, const ae_echo_align_config *config);
/* Keep this filter as the path that works: it sits at `delay_frames`, the finder said `lag_frames`.
 */
void ae_echo_align_remember(ae_echo_align *self, const ae_kalman *filter, double delay_frames,
                            double lag_frames);
/* What is remembered comes from another session, whose delay or room may have been another one: it
 * is tried at the first lag found, whatever that is; once that has failed, the running filter is
 * placed as if nothing were remembered. Ends with a trial that succeeds, or with `remember`. */
void ae_echo_align_doubt(ae_echo_align *self);
/* Whether a path of this very session is remembered: it has cancelled well, at a known lag. */
int ae_echo_align_has_learned(const ae_echo_align *self);
/* The bulk delay has drifted by so many frames: so has all that was measured before. */
void ae_echo_align_drift(ae_echo_align *self, double frames);
/* One block: the capture, the energy of what the running filter left of it, and what the finder
 * says: `accepted` counts its findings, lag_frames is the last one (< 0: none yet). Returns 1 when
 * the filters must move: then *delay_frames is the new bulk delay, and *remembered the path to take
 * over there, or NULL when the filters shall be shifted by whole blocks instead. */
int ae_echo_align_step(ae_echo_align *self, ae_far_end *far, const float *capture,
                       float error_energy, int accepted, double lag_frames, double *delay_frames,
                       const ae_kalman **remembered);
void ae_echo_align_reset(ae_echo_align *self);
void ae_echo_align_destroy(ae_echo_align *self);

#endif
