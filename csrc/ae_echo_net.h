/* ae_echo_net.h - a small recurrent net that hears, band by band, how much of an echo filter's
 * error is near end.
 *
 * Method: the loop of Valin, "A hybrid DSP/deep learning approach to real-time full-band speech
 * enhancement" (MMSP 2018) around a linear filter instead of a noise estimate: 200 inputs (powers
 * of seven signals in 28 bands, in dB, and four flags), a dense layer of 64, a gated recurrent
 * layer of 96 (Cho et al. 2014, the form with the reset gate behind the product), and per band a
 * gain and a mix. Different from it: no pitch filter and no voice activity output; the mix blends
 * the a priori error (which holds all of the near end) into the a posteriori one (which holds less
 * echo). The weights were trained by tools/echo_net on made-up rooms, loudspeakers and talkers;
 * they are kept as 8-bit numbers with one scale per output.
 * Cost: 68,000 multiplications per hop of 10 ms, at any rate. Thread: audio; no allocation after
 * create. */
#ifndef AE_ECHO_NET_H
#define AE_ECHO_NET_H

#include "ae_common.h"
#include "ae_echo_bands.h"

/* Mean squares of one hop, full scale 1. */
typedef struct {
    float error[AE_ECHO_BANDS]; /* a posteriori error of the filter */
    float prior_error[AE_ECHO_BANDS];
    float capture[AE_ECHO_BANDS];
    float echo[AE_ECHO_BANDS];          /* linear estimate */
    float far_end[AE_ECHO_BANDS];       /* behind the bulk delay */
    float misadjustment[AE_ECHO_BANDS]; /* what the filter's state expects to be unlearned */
    float residual[AE_ECHO_BANDS];      /* ae_residual_echo's estimate */
    float trust;                        /* 0 .. 1, as in ae_echo_view; the flags are 0 or 1 */
    float capture_clipped, far_active, lag_found;
} ae_echo_net_input;

typedef struct ae_echo_net ae_echo_net;

ae_status ae_echo_net_create(ae_echo_net **out);
void ae_echo_net_destroy(ae_echo_net *self);
void ae_echo_net_reset(ae_echo_net *self);
/* One hop of 10 ms. gain: 0 .. 1, amplitude ratio; mix: 0 .. 1, share of the a priori error. Both
 * [AE_ECHO_BANDS]. */
void ae_echo_net_update(ae_echo_net *self, const ae_echo_net_input *in, float *gain, float *mix);

#endif
