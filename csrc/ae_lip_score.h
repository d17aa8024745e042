/* ae_lip_score.h - one window of sound and mouth to a score for every lag, and its peak.
 *
 * Method: both sides are band-passed without delay (the sound 0.2 .. 12 Hz, the mouth 0.2 .. 10 Hz:
 * syllables), taken every 20 ms, brought to unit variance over the window, projected with the
 * model's taps (the ends go on as their last value), each component to unit variance times the root
 * of its weight, and correlated as vectors at every lag (ae_lip_lags). A parabola through the
 * highest score and its neighbours gives the lag to a fraction of the 10 ms step.
 * Cost of a window of 20 s with six mouth signals and 8 components: 0.3 ms with AVX2, for 0.8
 * million filter steps, 2.5 million multiply-adds and 38 transforms of 1080 points. No allocation
 * after create; one thread at a time. */
#ifndef AE_LIP_SCORE_H
#define AE_LIP_SCORE_H

#include "ae_lip_model.h"

typedef struct ae_lip_score ae_lip_score;

typedef struct {
    int max_frames; /* of a window, 10 ms each */
    int max_lag;    /* 10 ms frames to either side */
    const ae_lip_model *model;
} ae_lip_score_config;

typedef struct {
    double lag_ms; /* of the peak, bias taken off; > 0: the audio is late */
    int at_edge;   /* 1: the score still rises at the end of the lags: no peak */
    double peak;   /* its score, 1 at most */
    double second; /* the highest score further than 150 ms from it, 0 or more */
    double halves; /* score of each half of the window near the peak over that half's highest: the
                    * lower of the two, 0 .. 1 */
    double mouth_moves; /* standard deviation of the first mouth signal after the band-pass */
} ae_lip_score_result;

ae_status ae_lip_score_create(ae_lip_score **out, const ae_lip_score_config *config);
void ae_lip_score_destroy(ae_lip_score *self);
/* Where to put the window before a run: rows of AE_LIP_ROW and AE_LIP_MOUTH_ROW values, and the
 * weight of each mouth row (>= 0). Modified by the run. */
float *ae_lip_score_audio(ae_lip_score *self);
float *ae_lip_score_mouth(ae_lip_score *self);
float *ae_lip_score_weight(ae_lip_score *self);
/* At least AE_LIP_SCORE_FRAMES. `full` is the weight that a face in every row would have. */
enum { AE_LIP_SCORE_FRAMES = 150 };
void ae_lip_score_run(ae_lip_score *self, int frames, float full, ae_lip_score_result *out);
/* The scores of the last run, 2 max_lag + 1 of them from -max_lag on. */
const float *ae_lip_score_curve(const ae_lip_score *self);

#endif
