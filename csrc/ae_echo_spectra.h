/* ae_echo_spectra.h - the signals of an echo filter on the suppressor's time-frequency grid.
 *
 * Takes one ae_echo_view per hop and transforms the echo estimate, what the filter's last learning
 * step added to it, and the far end, each with the suppressor's window; capture and a priori error
 * follow by addition. The state covariance is brought to the same bins and scale. One object per
 * capture channel. Cost: three FFTs per hop. Thread: audio; no allocation after create. */
#ifndef AE_ECHO_SPECTRA_H
#define AE_ECHO_SPECTRA_H

#include "ae_common.h"
#include "ae_echo_view.h"

typedef struct {
    int hop_frames;    /* ae_block_frames(rate) */
    int window_frames; /* of the suppressor's ae_stft, >= 2 * hop_frames */
} ae_echo_spectra_config;

/* |FFT|^2 of one hop, all [bins]. */
typedef struct {
    const float *error;             /* a posteriori: what the filter's output holds */
    const float *prior_error;       /* before the filter learned from this hop */
    const float *capture, *echo;    /* capture = echo + error */
    const float *far_end;           /* delayed to where the filter begins */
    const float *misadjustment;     /* expected |echo not learned yet|^2 */
    const float *step_re, *step_im; /* prior error - error, as a spectrum */
} ae_echo_planes;

typedef struct ae_echo_spectra ae_echo_spectra;

ae_status ae_echo_spectra_create(ae_echo_spectra **out, const ae_echo_spectra_config *config);
void ae_echo_spectra_destroy(ae_echo_spectra *self);
void ae_echo_spectra_reset(ae_echo_spectra *self);
/* One hop; error_re, error_im: the spectrum of the filter's output in it. */
void ae_echo_spectra_update(ae_echo_spectra *self, const ae_echo_view *view, const float *error_re,
                            const float *error_im);
/* Valid until the next update. */
const ae_echo_planes *ae_echo_spectra_planes(const ae_echo_spectra *self);

#endif
