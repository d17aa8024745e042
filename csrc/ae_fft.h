/* ae_fft.h - real FFT of even sizes 2^a 3^b 5^c, spectra as two planes.
 *
 * Method: a real signal of n samples is a complex one of n/2 (even samples real, odd imaginary);
 * its transform is a decimation-in-frequency Stockham autosort FFT of radix 2, 3, 4, 5, 8
 * (Swarztrauber 1984: no bit reversal, every pass reads and writes in order), and one more pass
 * separates the two halves. The inverse runs the same passes with the planes exchanged. Split
 * planes and loops over the long axis let the compiler vectorise every butterfly: a quarter of
 * KissFFT's time in the baseline build, a sixth with AVX2 (benchmarks/c/bench_fft.c).
 * Accuracy: > 120 dB against a double DFT. No latency. Thread: an object serves one thread at a
 * time; no allocation after create. */
#ifndef AE_FFT_H
#define AE_FFT_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_fft ae_fft;

/* `size` in real samples: even, 2^a 3^b 5^c, 4 .. 65536. */
ae_status ae_fft_create(ae_fft **out, int size);
void ae_fft_destroy(ae_fft *self);
int ae_fft_size(const ae_fft *self);
/* The smallest allowed size >= minimum; 0 when minimum > 65536. */
int ae_fft_good_size(int minimum);

/* X[k] = sum_t time[t] exp(-2 pi i k t / size) for k = 0 .. size/2, not scaled.
 * im[0] and im[size/2] are 0. No two arrays may overlap; `time` is not modified. */
void ae_fft_forward(ae_fft *self, const float *time, float *re, float *im);

/* Scaled by 1/size, so that it undoes ae_fft_forward. im[0] and im[size/2] are taken as 0.
 * No two arrays may overlap; `re` and `im` are not modified. */
void ae_fft_inverse(ae_fft *self, const float *re, const float *im, float *time);
/* ffi:end */

#endif
