/* ae_stft.h - short-time Fourier analysis and synthesis of one channel, with an asymmetric window.
 *
 * Method: Mauler and Martin 2007 ("A low delay, variable resolution, perfect reconstruction
 * spectral analysis-synthesis system", EUSIPCO). The analysis window of K frames rises as a
 * sqrt-Hann over K - hop frames and falls as a sqrt-Hann over the last hop; the synthesis window
 * covers only the last 2 hop frames and is chosen so that the product is a Hann window of 2 hop,
 * which adds up to 1. So the resolution is that of K frames and the delay that of a 2 hop window. K
 * = 2 hop is the plain sqrt-Hann pair. Latency: hop frames. Cost per hop: one real FFT of
 * good_size(K) each way. Thread: one at a time, any; no allocation after create. */
#ifndef AE_STFT_H
#define AE_STFT_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_stft ae_stft;

typedef struct {
    int hop_frames;    /* 4 .. 16384 */
    int window_frames; /* 2 hop_frames .. 65536 */
} ae_stft_config;

ae_status ae_stft_create(ae_stft **out, const ae_stft_config *config);
void ae_stft_destroy(ae_stft *self);
/* Clears the signal in both directions: the same as newly created. */
void ae_stft_reset(ae_stft *self);
int ae_stft_latency_frames(const ae_stft *self); /* hop_frames */
int ae_stft_fft_size(const ae_stft *self);       /* the window, zero padded to a good size */
int ae_stft_bins(const ae_stft *self);           /* fft_size / 2 + 1 */
/* Sum of the squared analysis window: the expected |X|^2 of white noise of power 1 in one bin. */
float ae_stft_window_power(const ae_stft *self);
/* Power of the output when each hop's bins are drawn anew with that |X|^2: less than 1, because
 * the parts that overlap do not add up in phase. */
float ae_stft_random_power(const ae_stft *self);

/* Takes the next hop of `in`; `re` and `im` receive the bins of the last window_frames frames. */
void ae_stft_analyse(ae_stft *self, const float *in, float *re, float *im);
/* Gives the next hop of `out`; an unchanged spectrum gives the input, hop_frames late. */
void ae_stft_synthesise(ae_stft *self, const float *re, const float *im, float *out);
/* ffi:end */

/* The analysis window, [window_frames]. */
const float *ae_stft_window(const ae_stft *self);
int ae_stft_window_frames(const ae_stft *self);

#endif
