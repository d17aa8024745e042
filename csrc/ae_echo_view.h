/* ae_echo_view.h - what an echo filter lets the suppressor see of one capture channel and one
 * block.
 *
 * A leaf: a plain struct of borrowed planes, valid until the filter's next process call. */
#ifndef AE_ECHO_VIEW_H
#define AE_ECHO_VIEW_H

/* ffi:begin */
typedef struct {
    int frames;           /* length of the three planes: one 10 ms block */
    const float *capture; /* microphone block as the filter received it */
    const float *far_end; /* far end after the bulk delay: what the echo of this block starts from;
                             of two channels their mix, 0.6 and 0.4 of each */
    const float *echo;    /* linear echo estimate; capture - echo is the filter's output */
    const float *prior_echo; /* the same before the filter learned from this block: a fast filter
                                takes some of the near end for echo, this one has none of it */

    /* Expected power of the echo that the filter has not learned yet, from its state covariance, in
     * the scale of |FFT of the block, rectangular, zero padded|^2. Bin k lies at
     * k * sample_rate / (2 * (misadjustment_bins - 1)). */
    const float *misadjustment_power;
    int misadjustment_bins;

    int far_active;      /* 1: the far end holds signal within the reach of the filter */
    int capture_clipped; /* 1: the microphone sat at its rail within the last 60 ms */
    int lag_found;       /* 1: the echo's lag has been heard since create or reset */
    int unheard;         /* 1: the first far end plays, the microphone has become louder with it,
                            and nobody knows yet whether that is echo */
    float trust;         /* 0..1 how far the filter believes that there is an echo path at all;
                            echo and misadjustment_power are already weighted with it */
} ae_echo_view;
/* ffi:end */

#endif
