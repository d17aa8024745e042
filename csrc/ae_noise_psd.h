/* ae_noise_psd.h - tracks the noise power of every spectral point under speech.
 *
 * Method: minimum mean-square error estimate with a fixed-prior speech presence probability
 * (Gerkmann & Hendriks 2012, "Unbiased MMSE-based noise power estimation with low complexity and
 * low tracking delay"): the frame's power is taken as noise in so far as speech is improbable.
 * Different from the paper:
 * - cold start: for the first 0.5 s the probability looks at the mean over neighbours as well, and
 *   the first 0.25 s are averaged with equal weights, so that noise is known after some frames;
 * - step guard: where the minimum of the smoothed power over 2 s stays far above the estimate, or
 *   the power holds within 3 dB for half a second, a noise that became louder is learned again;
 * - gusts: in a hop that is no speech as a whole, what looked like speech in a point is learned
 * too;
 * - power of another known source (residual echo) is never taken for noise.
 * Thread: audio, no allocation after create. Cost: one exponential per point. */
#ifndef AE_NOISE_PSD_H
#define AE_NOISE_PSD_H

#include "ae_common.h"

typedef struct {
    int points;   /* 1 .. 65536 */
    float hop_ms; /* 1 .. 100 */
} ae_noise_psd_config;

typedef struct ae_noise_psd ae_noise_psd;

ae_status ae_noise_psd_create(ae_noise_psd **out, const ae_noise_psd_config *config);
void ae_noise_psd_destroy(ae_noise_psd *self);
void ae_noise_psd_reset(ae_noise_psd *self);
/* One hop. power [points] >= 0; foreign_power [points]: what another known source adds, or NULL. */
void ae_noise_psd_update(ae_noise_psd *self, const float *power, const float *foreign_power);
/* After the update of a hop: how sure it is that nobody spoke in it, 0 .. 1. */
void ae_noise_psd_learn_absence(ae_noise_psd *self, float absence);
const float *ae_noise_psd_power(const ae_noise_psd *self); /* [points], > 0 */

#endif
