/* ae_musical_noise.h - takes the tinkling out of a noise gain.
 *
 * Method: Esch & Vary 2009 ("Efficient musical noise suppression for speech enhancement systems"):
 * where a gain leaves hardly any power, there is no speech, and its variation over frequency is
 * only noise of the estimate; so it is averaged over a number of points that grows as that share
 * falls. Different from the paper: the log of the gain is averaged, and only below a share of 0.07
 * instead of 0.4, where weak speech suffers. Thread: audio, no allocation after create. */
#ifndef AE_MUSICAL_NOISE_H
#define AE_MUSICAL_NOISE_H

#include "ae_common.h"

typedef struct {
    int points; /* 1 .. 65536 */
} ae_musical_noise_config;

typedef struct ae_musical_noise ae_musical_noise;

ae_status ae_musical_noise_create(ae_musical_noise **out, const ae_musical_noise_config *config);
void ae_musical_noise_destroy(ae_musical_noise *self);
/* Smooths gain_log2 in place; power [points] is what the gain is applied to. No state. */
void ae_musical_noise_smooth(ae_musical_noise *self, const float *power, float *gain_log2);

#endif
