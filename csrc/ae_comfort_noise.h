/* ae_comfort_noise.h - fills what the echo gain takes below the room's floor with noise of that
 * floor's level and colour, so that the line does not go dead while the far end talks.
 *
 * Level: the noise estimate, but never above a floor that follows the power's minima and hardly
 * rises on speech and echo (a noise estimate climbs in double talk). Random numbers come from a
 * hash of (hop, channel, bin), so a bin that needs none does not change the others. Thread: audio,
 * no allocation after create. Cost: one hash and one square root per bin. */
#ifndef AE_COMFORT_NOISE_H
#define AE_COMFORT_NOISE_H

#include "ae_common.h"

typedef struct {
    int bins;     /* 2 .. 65536 */
    float hop_ms; /* 1 .. 100 */
} ae_comfort_noise_config;

typedef struct ae_comfort_noise ae_comfort_noise;

ae_status ae_comfort_noise_create(ae_comfort_noise **out, const ae_comfort_noise_config *config);
void ae_comfort_noise_destroy(ae_comfort_noise *self);
void ae_comfort_noise_reset(ae_comfort_noise *self);
/* One hop of the microphone's power and of the noise estimate, [bins], same scale. */
void ae_comfort_noise_track(ae_comfort_noise *self, const float *power, const float *noise);
/* What is missing: amplitude of the noise to add per bin, so that power * gain^2 becomes
 * power * least_gain^2. gain, amplitude [bins]; returns 0 when no bin needs any. */
int ae_comfort_noise_missing(ae_comfort_noise *self, const float *gain, float least_gain,
                             float *amplitude);
/* Adds it to a spectrum; re and im each get a variance of amplitude^2 / 2. */
void ae_comfort_noise_add(const ae_comfort_noise *self, int channel, const float *amplitude,
                          float *re, float *im);

#endif
