/* ae_hum.h - takes mains hum out of a short-time spectrum, under speech too.
 *
 * Method: adaptive noise cancelling with a synthetic reference (Widrow et al. 1975): once
 * ae_hum_search has found the base, each multiple of it up to 2.4 kHz has a complex amplitude that
 * follows the residual's average over a second (least mean squares), and its sine, as the analysis
 * window spreads it over the bins, is subtracted. One phase-locked loop moves the base with all
 * lines together. So the notches are 0.3 Hz wide, where 31 Hz bins with a gain would take the voice
 * along. Different from the paper: steps are limited to twice each line's quiet residual, so that
 * speech does not move the amplitudes; a line is subtracted in so far as it is surer than its
 * noise; where subtracting adds power, as when the hum ends, all is dropped and searched anew.
 * Cost: 24 complex multiplications per hop while there is no hum, 48 x 17 per channel with it.
 * Thread: audio, no allocation after create. */
#ifndef AE_HUM_H
#define AE_HUM_H

#include "ae_common.h"

typedef struct {
    int bins, fft_size;  /* of the spectrum; 2 (bins - 1) = fft_size */
    int channels;        /* 1 .. 8 */
    int sample_rate_hz;  /* 8000 .. 96000 */
    int hop_frames;      /* 5 .. 20 ms */
    const float *window; /* [window_frames] of the analysis; read at create only */
    int window_frames;   /* 1 .. fft_size */
} ae_hum_config;

typedef struct ae_hum ae_hum;

ae_status ae_hum_create(ae_hum **out, const ae_hum_config *config);
void ae_hum_destroy(ae_hum *self);
void ae_hum_reset(ae_hum *self);
/* One hop: subtracts the hum from re[channel], im[channel], [bins] each. */
void ae_hum_remove(ae_hum *self, float *const *re, float *const *im);
/* Adds `share` (0 .. 1) of what this hop's ae_hum_remove has subtracted. */
void ae_hum_restore(const ae_hum *self, float share, float *const *re, float *const *im);
float ae_hum_hz(const ae_hum *self); /* base of the hum that is taken away; 0: none */

#endif
