/* ae_resample.h - sample rate conversion between any two integer rates, steerable while it runs.
 *
 * Method: band-limited interpolation with a Kaiser-windowed sinc (Smith & Gossett 1984; Kaiser
 * 1974), stored as a table of phases. Where the reduced ratio has few phases they all lie on table
 * rows and one dot product makes a sample; otherwise, and while steered, two neighbouring rows are
 * interpolated linearly. Flat to 0.91 of the lower Nyquist frequency, stopped from 1.0 on.
 * Different from the paper: the position is an exact rational number and not a rounded increment,
 * so it never drifts, whatever the block lengths and however long the stream.
 *
 * With `half_periods` set the filter is shorter, for following a clock at nearly equal rates with
 * little latency: flat to 1 - 3 / half_periods of the lower Nyquist frequency, stopped (-90 dB) as
 * far above it; in between lies what the image of a higher rate's top octave would leave there.
 *
 * Bookkeeping: unsteered, after N input frames exactly ceil(N * output_rate / input_rate) output
 * frames have been given; output frame n is the input at time n - latency_frames of the output
 * clock. The first latency_frames frames are the filter's run-in.
 * Latency: 96 (half_periods) periods of the lower rate, rounded up to a whole output frame (2.0 ms
 * at 48 kHz). Cost: 192 * max(1, input_rate / output_rate) multiply-adds per output sample, twice
 * that between rows. Memory: 0.8 MB, at most twice that. Thread: audio, no allocation after create.
 */
#ifndef AE_RESAMPLE_H
#define AE_RESAMPLE_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_resample ae_resample;
typedef struct {
    int input_rate_hz;  /* 8000 .. 192000 */
    int output_rate_hz; /* 8000 .. 192000, 1/12 to 12 times the input rate */
    int channels;       /* 1 .. 8 */
    int half_periods;   /* half the filter in periods of the lower rate, 16 .. 96; 0: see above */
} ae_resample_config;

ae_status ae_resample_create(ae_resample **out, const ae_resample_config *config);
/* Takes all `in_frames` frames of each channel (any number, 0 too) and returns how many frames it
 * wrote to each channel of `out`. `out_capacity` must be at least
 * ae_resample_output_bound(in_frames). `out` must not overlap `in`. */
int ae_resample_process(ae_resample *self, const float *const *in, int in_frames, float *const *out,
                        int out_capacity);
/* The most frames that one call with in_frames can write, steered or not. */
int ae_resample_output_bound(const ae_resample *self, int in_frames);
/* Treat the input clock as running `ppm` millionths fast (-1000 .. 1000, clamped; NaN is ignored):
 * positive gives fewer output frames. The offset moves there at 100 ppm per second. */
void ae_resample_set_ppm(ae_resample *self, float ppm);
/* Another pace for that, 100 .. 10000; clamped, NaN is ignored. A reset keeps it. */
void ae_resample_set_slew_ppm_per_s(ae_resample *self, float slew_ppm_per_s);
float ae_resample_ppm(const ae_resample *self); /* the offset now */
void ae_resample_reset(ae_resample *self);
void ae_resample_destroy(ae_resample *self);
int ae_resample_latency_frames(const ae_resample *self); /* output frames, exact */
/* Input frames (0 .. input_rate / output_rate) between the last one taken and the instant that the
 * next output frame waits for: with it a caller knows the read position to a fraction. */
double ae_resample_input_short(const ae_resample *self);
/* ffi:end */

#endif
