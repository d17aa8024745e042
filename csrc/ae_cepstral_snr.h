/* ae_cepstral_snr.h - speech power by temporal smoothing in the cepstrum, and the voice's pitch.
 *
 * Method: Breithaupt, Gerkmann & Martin 2008 ("A novel a priori SNR estimation approach based on
 * selective cepstro-temporal smoothing"): the maximum-likelihood speech power max(P - N, xi N) is
 * turned into a real cepstrum; the coefficients of the spectral envelope and of the pitch are
 * hardly smoothed, all others strongly, so that random peaks go and speech stays. Different from
 * the paper: the time constants per quefrency are those of notes on this project's scenes (see the
 * table in the .c file) instead of one per class. Pitch: largest coefficient between 70 and 320 Hz.
 * Thread: audio, no allocation after create. Cost: two real FFTs of 2 (bins - 1). */
#ifndef AE_CEPSTRAL_SNR_H
#define AE_CEPSTRAL_SNR_H

#include "ae_common.h"

typedef struct {
    int bins;     /* 2 (bins - 1) must be an ae_fft size */
    float bin_hz; /* distance of the bins */
    float hop_ms; /* 1 .. 100 */
} ae_cepstral_snr_config;

typedef struct ae_cepstral_snr ae_cepstral_snr;

ae_status ae_cepstral_snr_create(ae_cepstral_snr **out, const ae_cepstral_snr_config *config);
void ae_cepstral_snr_destroy(ae_cepstral_snr *self);
void ae_cepstral_snr_reset(ae_cepstral_snr *self);
/* One hop: the a priori SNR of every bin. power, interference, prior_snr [bins]; none overlap. */
void ae_cepstral_snr_update(ae_cepstral_snr *self, const float *power, const float *interference,
                            float *prior_snr);
/* Height of the newest pitch peak in the cepstrum of the log power (natural logarithm), >= 0:
 * 0.1 in noise, 0.3 .. 1 in voiced speech. */
float ae_cepstral_snr_pitch_strength(const ae_cepstral_snr *self);
/* Its frequency; 70 .. 320. */
float ae_cepstral_snr_pitch_hz(const ae_cepstral_snr *self);

#endif
