/* ae_echo_gain.h - the gain that takes residual echo away, from its expected power.
 *
 * Spectral subtraction with an over-subtraction that depends on the near end: where the residual
 * explains the signal it closes fully, where somebody talks it opens within one hop and stays
 * gentle. Gains are amplitude ratios, 0 .. 1. Thread: audio, no allocation after create. */
#ifndef AE_ECHO_GAIN_H
#define AE_ECHO_GAIN_H

#include "ae_common.h"

typedef struct {
    int bins; /* 2 .. 65536 */
} ae_echo_gain_config;

typedef struct ae_echo_gain ae_echo_gain;

ae_status ae_echo_gain_create(ae_echo_gain **out, const ae_echo_gain_config *config);
void ae_echo_gain_destroy(ae_echo_gain *self);
void ae_echo_gain_reset(ae_echo_gain *self);
/* One hop. power, residual_power: same scale; near_end_presence 0 .. 1, all [bins]. */
void ae_echo_gain_update(ae_echo_gain *self, const float *power, const float *residual_power,
                         const float *near_end_presence, float *gain);

#endif
