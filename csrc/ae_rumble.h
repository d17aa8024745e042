/* ae_rumble.h - wind, handling noise and plosive pops below the voice.
 *
 * Method: a voice has nothing below its fundamental. In a voiced hop what lies below 0.7 of the
 * pitch, in any other hop what lies below 120 Hz, is turned down to the floor, but only where it is
 * loud enough to hear: by the noise estimate there, or by what the hop itself holds (a pop is over
 * before any estimate has followed). Wind comes in gusts that a noise estimate from pauses misses;
 * this needs no estimate to be right. Thread: audio, no allocation after create.
 * Cost: a few points per hop. */
#ifndef AE_RUMBLE_H
#define AE_RUMBLE_H

#include "ae_common.h"

typedef struct {
    int points;   /* 1 .. 65536 */
    float bin_hz; /* distance of two points at low frequencies */
    int bins;     /* of the whole spectrum: sum of power / bins is the signal's power */
} ae_rumble_config;

typedef struct ae_rumble ae_rumble;

ae_status ae_rumble_create(ae_rumble **out, const ae_rumble_config *config);
void ae_rumble_destroy(ae_rumble *self);
void ae_rumble_reset(ae_rumble *self);
/* One hop: power and noise [points]; pitch_hz and its strength as ae_cepstral_snr gives them. Pulls
 * gain_log2 [points] towards least_log2. */
void ae_rumble_suppress(ae_rumble *self, const float *power, const float *noise, float pitch_hz,
                        float pitch_strength, float least_log2, float *gain_log2);
float ae_rumble_edge_hz(const ae_rumble *self); /* below it the newest hop has no voice */

#endif
