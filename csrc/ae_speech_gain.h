/* ae_speech_gain.h - the gain that keeps speech and turns noise down, from powers.
 *
 * Method: a priori SNR = geometric mean of the decision-directed one (Ephraim & Malah 1984, eq. 51)
 * and the cepstrally smoothed one; log-spectral amplitude gain (Ephraim & Malah 1985, eq. 20) mixed
 * with the floor by the speech presence probability (OM-LSA, Cohen & Berdugo 2001), whose prior
 * comes from local, global and frame means of the smoothed SNR. Two steps, so that the caller can
 * judge the hop by its a priori SNR in between: where a hop is no speech as a whole, what looks
 * like speech in single points is a burst of noise, and goes most of the way to the floor. Gains
 * are log2 of an amplitude ratio, <= 0. Thread: audio, no allocation after create. Cost: four
 * logarithms or exponentials per point. */
#ifndef AE_SPEECH_GAIN_H
#define AE_SPEECH_GAIN_H

#include "ae_common.h"

typedef struct {
    int points;      /* 16 .. 65536 */
    int hint_points; /* 0 .. points: how many have a cepstral hint */
    float hop_ms;    /* 1 .. 100 */
} ae_speech_gain_config;

typedef struct ae_speech_gain ae_speech_gain;

ae_status ae_speech_gain_create(ae_speech_gain **out, const ae_speech_gain_config *config);
void ae_speech_gain_destroy(ae_speech_gain *self);
void ae_speech_gain_reset(ae_speech_gain *self);
/* log2 of the log-spectral amplitude gain for one a priori SNR and v = prior / (1 + prior) *
 * posterior. */
float ae_speech_gain_lsa_log2(const ae_speech_gain *self, float prior_snr, float v);
/* One hop. power, interference [points]; prior_hint [hint_points]: cepstrally smoothed a priori SNR
 * of the first points; least_log2 <= 0: the floor. */
void ae_speech_gain_update(ae_speech_gain *self, const float *power, const float *interference,
                           const float *prior_hint, float least_log2, float *gain_log2);
/* Of the newest hop, [points]. */
const float *ae_speech_gain_prior_snr(const ae_speech_gain *self);

#endif
