/* ae_lip_lags.h - weighted correlation of two signals with gaps, at every lag.
 *
 * Method: for lag l the mean, the variance and the product of mouth(t) and audio(t + l) are taken
 * over the frames where the mouth counts (weight >= 0) and the sound is present (0 or 1), each as a
 * correlation by FFT (Padfield 2012, masked registration): r(l) = cov / sqrt(var var). The score of
 * several pairs is sum_k weight_k r_k(l), times the root of the share of the frames that lag l
 * uses, so that a few frames at the far ends do not win by chance. l > 0: the audio is late. Cost:
 * 4 forward and 5 inverse transforms per pair and 3 per window. No allocation after create; one
 * thread at a time. */
#ifndef AE_LIP_LAGS_H
#define AE_LIP_LAGS_H

#include "ae_common.h"

typedef struct ae_lip_lags ae_lip_lags;

/* Of windows up to `max_frames` and lags of -max_lag .. max_lag frames; together up to 65536. */
ae_status ae_lip_lags_create(ae_lip_lags **out, int max_frames, int max_lag);
void ae_lip_lags_destroy(ae_lip_lags *self);

/* Begin a window: weight >= 0 of the mouth's frames, 1 or 0 of the sound's. Lags that share less
 * than `least` of weight, or less than `least_frames` of time, score 0. `full` > 0 is the weight
 * that a face in every frame would have. */
void ae_lip_lags_begin(ae_lip_lags *self, const float *weight, const float *present, int frames,
                       float full, float least, int least_frames);
/* Add a pair of signals of the window's length with its weight. */
void ae_lip_lags_add(ae_lip_lags *self, const float *mouth, const float *audio, float weight);
/* 2 max_lag + 1 scores, from lag -max_lag on. */
const float *ae_lip_lags_scores(const ae_lip_lags *self);

#endif
