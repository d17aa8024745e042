/* ae_spectral_points.h - the frequency grid of the suppressor: every bin up to 8 kHz, third-octave
 * bands above.
 *
 * A "point" is either. Hearing resolves no harmonics above 8 kHz, and a band's mean power
 * fluctuates less than a bin's, so the cost no longer grows with the sample rate and the gain up
 * there does not tinkle. Powers are gathered as means; gains are spread by linear interpolation
 * between band centres. Thread: any, read-only after create. */
#ifndef AE_SPECTRAL_POINTS_H
#define AE_SPECTRAL_POINTS_H

#include "ae_common.h"

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int fft_size;       /* of the ae_stft whose bins are gathered */
} ae_spectral_points_config;

typedef struct ae_spectral_points ae_spectral_points;

ae_status ae_spectral_points_create(ae_spectral_points **out,
                                    const ae_spectral_points_config *config);
void ae_spectral_points_destroy(ae_spectral_points *self);
/* Points 0 .. bins_kept - 1 are the bins themselves; 2 (bins_kept - 1) is a good FFT size. */
int ae_spectral_points_bins_kept(const ae_spectral_points *self);
int ae_spectral_points_count(const ae_spectral_points *self);
float ae_spectral_points_bin_hz(const ae_spectral_points *self);
/* The point nearest to a frequency below 8 kHz. */
int ae_spectral_points_at(const ae_spectral_points *self, float frequency_hz);
/* How many bins each point stands for; the sum is fft_size / 2 + 1. [count] */
const float *ae_spectral_points_widths(const ae_spectral_points *self);
/* No two arrays may overlap. */
void ae_spectral_points_gather(const ae_spectral_points *self, const float *bin_power,
                               float *point_power);
void ae_spectral_points_spread(const ae_spectral_points *self, const float *point_gain,
                               float *bin_gain);

#endif
