/* ae_echo_bands.h - the 28 overlapping bands, 60 Hz to 8 kHz, in which ae_echo_net hears and acts.
 *
 * Triangles: every bin belongs to the two bands around it in the share of its distance, so powers
 * add up to the whole and gains are spread by linear interpolation with the same weights. Bands lie
 * 75 Hz apart up to 500 Hz, so that the harmonics of a voice part, then 14.5 % (near the ear's
 * critical bands). Powers are mean squares of the signal, whatever rate and transform they came
 * from. Above 8 kHz a bin takes the mean gain of the bands from 4 kHz on. At low rates the bands
 * above half the rate are empty. Thread: any, read-only after create. */
#ifndef AE_ECHO_BANDS_H
#define AE_ECHO_BANDS_H

#include "ae_common.h"

enum { AE_ECHO_BANDS = 28 };

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int fft_size;       /* of the ae_stft whose bins are gathered */
    float window_power; /* ae_stft_window_power */
} ae_echo_bands_config;

typedef struct ae_echo_bands ae_echo_bands;

ae_status ae_echo_bands_create(ae_echo_bands **out, const ae_echo_bands_config *config);
void ae_echo_bands_destroy(ae_echo_bands *self);
/* |FFT|^2 of the bins to the mean square of each band; no overlap. */
void ae_echo_bands_gather(const ae_echo_bands *self, const float *bin_power, float *band_power);
void ae_echo_bands_spread(const ae_echo_bands *self, const float *band_gain, float *bin_gain);

#endif
