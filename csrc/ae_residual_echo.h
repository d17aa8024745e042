/* ae_residual_echo.h - power spectrum of the echo that the linear filter leaves, on the
 * suppressor's bins.
 *
 * residual = misadjustment (the filter's state covariance) + leakage (shares of
 * the echo estimate's and the reverberant tail's power, learned by gradient steps on the
 * Itakura-Saito distance between the error power and the model). Call once per hop. Thread: audio;
 * no allocation. */
#ifndef AE_RESIDUAL_ECHO_H
#define AE_RESIDUAL_ECHO_H

#include "ae_common.h"
#include "ae_echo_spectra.h"

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int bins;           /* of the planes, fft_size / 2 + 1 */
} ae_residual_echo_config;

typedef struct ae_residual_echo ae_residual_echo;

ae_status ae_residual_echo_create(ae_residual_echo **out, const ae_residual_echo_config *config);
/* residual_power: expected |residual echo|^2, [bins]; must not be one of the planes. */
void ae_residual_echo_update(ae_residual_echo *self, const ae_echo_planes *planes, int far_active,
                             float *residual_power);
void ae_residual_echo_reset(ae_residual_echo *self);
void ae_residual_echo_destroy(ae_residual_echo *self);

#endif
