/* ae_speech_features.h - what a hop sounds like, in the numbers that tell speech from noise.
 *
 * Method: what a voice has and noise, hum, music or typing lacks.
 *   bands      power over the noise estimate in eight bands, now and as means over 30 and 150 ms:
 *              a voice rises and falls by syllables, a key stroke within two hops; and the a priori
 *              SNR of the same bands
 *   pitch      height of the cepstral pitch peak, whether it stays at its place, and how much it
 *              glides meanwhile: a voice glides, hum and notes do not
 *   lines      likeness of the fine structure of the spectrum (100 .. 3900 Hz, its envelope taken
 *              off) to that of 10 .. 140 ms ago: harmonics of a voice move within 80 ms, those of
 *              notes and hum stay, noise has none that stay
 *   movement   how far the bands are from their mean, and how much fine structure there is
 * All are logarithms of ratios, so the level of the recording does not matter. Bands beyond the
 * signal's own take the value of the highest one.
 * Thread: audio, no allocation after create. Cost: two logarithms per point to 4 kHz. */
#ifndef AE_SPEECH_FEATURES_H
#define AE_SPEECH_FEATURES_H

#include "ae_common.h"

enum {
    k_ae_speech_bands = 8,
    k_ae_speech_lags = 5,
    k_ae_speech_features = 4 * k_ae_speech_bands + 2 * k_ae_speech_lags + 10
};

typedef struct {
    int bins;     /* points that are bins, to 4 kHz at least */
    float bin_hz; /* distance of the bins */
    float hop_ms; /* 1 .. 100 */
} ae_speech_features_config;

/* One hop as the suppressor knows it; arrays: [bins]. */
typedef struct {
    const float *power, *noise, *prior_snr;
    float pitch_strength, pitch_hz; /* of ae_cepstral_snr */
} ae_speech_hop;

typedef struct ae_speech_features ae_speech_features;

ae_status ae_speech_features_create(ae_speech_features **out,
                                    const ae_speech_features_config *config);
void ae_speech_features_destroy(ae_speech_features *self);
void ae_speech_features_reset(ae_speech_features *self);
/* One hop; the result, [k_ae_speech_features], is valid until the next call. */
const float *ae_speech_features_update(ae_speech_features *self, const ae_speech_hop *hop);

#endif
