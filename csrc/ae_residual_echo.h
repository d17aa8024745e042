/* ae_residual_echo.h - power spectrum of the echo that the linear filter leaves, on the
 * suppressor's bins, and how much near end there is beside it.
 *
 * residual = misadjustment (the filter's state covariance) + leakage (shares of
 * the echo estimate's and the reverberant tail's power, learned by gradient steps on the
 * Itakura-Saito distance between the error power and the model). It runs its own
 * analysis of the echo estimate with the suppressor's window, so that estimate and error lie on the
 * same time-frequency grid. Call once per hop. Thread: audio; no allocation. */
#ifndef AE_RESIDUAL_ECHO_H
#define AE_RESIDUAL_ECHO_H

#include "ae_common.h"
#include "ae_echo_view.h"

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int hop_frames;     /* ae_block_frames(sample_rate_hz) */
    int window_frames;  /* of the suppressor's ae_stft, >= 2 * hop_frames */
} ae_residual_echo_config;

typedef struct ae_residual_echo ae_residual_echo;

ae_status ae_residual_echo_create(ae_residual_echo **out, const ae_residual_echo_config *config);
/* error_power: |E|^2 of this hop. All planes hold ae_stft_bins() values; none may overlap.
 * residual_power: expected |residual echo|^2. near_end_presence: 0 (the residual explains the
 * error)
 * .. 1 (near end or noise stands well above it), per bin, smooth over frequency, up at once, down
 * over some hops. */
void ae_residual_echo_update(ae_residual_echo *self, const ae_echo_view *view,
                             const float *error_power, float *residual_power,
                             float *near_end_presence);
/* The near-end presence over 200 .. 6000 Hz of the newest hop, 0 .. 1. */
float ae_residual_echo_broad_presence(const ae_residual_echo *self);
void ae_residual_echo_reset(ae_residual_echo *self);
void ae_residual_echo_destroy(ae_residual_echo *self);

#endif
