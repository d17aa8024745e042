/* ae_speech_presence.h - how likely the newest hop holds speech.
 *
 * Method: logistic regression on the log a priori SNR of six bands and the height of the pitch peak
 * in the cepstrum, each smoothed over time: up in 20 ms, down in 95 ms, so that the short closures
 * inside words do not count as pauses. Weights: fitted, see the .c file. Bands beyond the signal's
 * own take the value of the highest one. Thread: audio, no allocation after create. */
#ifndef AE_SPEECH_PRESENCE_H
#define AE_SPEECH_PRESENCE_H

#include "ae_common.h"

enum { k_ae_presence_bands = 6 };
/* Edges in Hz of the bands: 100 300 700 1500 3000 4000 8000. */
extern const float k_ae_presence_edges_hz[k_ae_presence_bands + 1];

typedef struct {
    int band_edges[k_ae_presence_bands + 1]; /* as points; an empty band copies the one below */
    float hop_ms;                            /* 1 .. 100 */
} ae_speech_presence_config;

typedef struct ae_speech_presence ae_speech_presence;

ae_status ae_speech_presence_create(ae_speech_presence **out,
                                    const ae_speech_presence_config *config);
void ae_speech_presence_destroy(ae_speech_presence *self);
void ae_speech_presence_reset(ae_speech_presence *self);
/* One hop: probability 0 .. 1 from the a priori SNR [points] and the pitch peak's height. */
float ae_speech_presence_update(ae_speech_presence *self, const float *prior_snr,
                                float pitch_strength);

#endif
