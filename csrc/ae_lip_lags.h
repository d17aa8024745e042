/* ae_lip_lags.h - weighted correlation of two vector signals with gaps, at every lag.
 *
 * Method: for lag l, sum_t w(t) q(t) . p(t + l) over the roots of sum_t w(t) |q(t)|^2 and
 * sum_t w(t) |p(t + l)|^2, each over the frames where the sound is present (0 or 1), as
 * correlations by FFT (Padfield 2012, masked registration); the sum over the components is taken in
 * the frequency domain. Times the root of the share of the weight that lag l uses, so that a few
 * frames at the far ends do not win by chance. The same for each half of the weight by itself: what
 * is true in the whole window shows in both. Signals come every 20 ms and hold nothing above 25 Hz;
 * scores are given every 10 ms, by filling up the spectrum with zeros. l > 0: the audio (p) is
 * late. Cost: 3 forward transforms per component, and 6 forward and 8 inverse ones per window. No
 * allocation after create; one thread at a time. */
#ifndef AE_LIP_LAGS_H
#define AE_LIP_LAGS_H

#include "ae_common.h"

typedef struct ae_lip_lags ae_lip_lags;

/* Of windows up to `max_frames` of 20 ms and lags of -max_lag .. max_lag steps of 10 ms. */
ae_status ae_lip_lags_create(ae_lip_lags **out, int max_frames, int max_lag);
void ae_lip_lags_destroy(ae_lip_lags *self);

/* Begin a window: weight >= 0 of the mouth's frames, 1 or 0 of the sound's. */
void ae_lip_lags_begin(ae_lip_lags *self, const float *weight, const float *present, int frames);
/* Add a component of the two sides, of the window's length, near unit variance. */
void ae_lip_lags_add(ae_lip_lags *self, const float *mouth, const float *audio);
/* Work out the scores. Lags that share less than `least` of weight (half of it in a half), or less
 * than `least_frames` of time, score 0. `full` > 0 is the weight of a face in every frame. */
void ae_lip_lags_end(ae_lip_lags *self, float full, float least, int least_frames);
/* 2 max_lag + 1 scores, from lag -max_lag on: of the whole window, and of its halves 0 and 1. */
const float *ae_lip_lags_scores(const ae_lip_lags *self);
const float *ae_lip_lags_half(const ae_lip_lags *self, int half);

#endif
