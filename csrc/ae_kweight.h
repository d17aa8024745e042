/* ae_kweight.h - the K frequency weighting of ITU-R BS.1770-5 at any sample rate, as block
 * energies.
 *
 * Method: the two second-order sections of BS.1770-5 Annex 1, with the printed numbers at 48 kHz.
 * Elsewhere stage 2 is the bilinear redesign of the same prototype, and the five numbers of stage 1
 * are fitted to the 48 kHz definition, least squares in dB on 20 Hz .. min(0.46 rate, 20 kHz):
 * the usual bilinear redesign alone is off by 0.15 dB at 16 kHz and 0.5 dB at 8 kHz, the fit by
 * 0.0013 and 0.014 dB; at 176.4 and 192 kHz it is 0.0000 dB. Filters run in double.
 * The result does not depend on how the stream is cut into calls, to the last bit.
 * Latency: none. Cost: about 10 multiply-adds per sample. Thread: audio, no allocation after
 * create. */
#ifndef AE_KWEIGHT_H
#define AE_KWEIGHT_H

#include "ae_common.h"

/* What measures goes up to the rates of studio files, beyond those that are processed. */
#define AE_METER_MAX_RATE_HZ 192000

/* ffi:begin */
typedef struct ae_kweight ae_kweight;

typedef struct {
    int sample_rate_hz; /* 8000 .. 192000 */
    int channels;       /* 1 .. 8 */
} ae_kweight_config;

typedef struct {
    double stage1_b[3];
    double stage1_a[2]; /* a1, a2; a0 is 1 */
    double stage2_a[2]; /* the numerator is 1, -2, 1 */
} ae_kweight_filter;

/* The two sections for a sample rate. Not for the audio thread: it runs the fit (about 1 ms). */
ae_status ae_kweight_design(ae_kweight_filter *out, int sample_rate_hz);
double ae_kweight_magnitude_db(const ae_kweight_filter *filter, int sample_rate_hz,
                               double frequency_hz);

ae_status ae_kweight_create(ae_kweight **out, const ae_kweight_config *config);
void ae_kweight_destroy(ae_kweight *self);
void ae_kweight_reset(ae_kweight *self);
/* Add to energy[c] the sum of squares of the weighted in[c][offset .. offset + frames). */
void ae_kweight_add_energy(ae_kweight *self, const float *const *in, int offset, int frames,
                           double *energy);
/* Sum over the channels of the weighted mean square of in[c][0 .. frames). */
double ae_kweight_mean_square(ae_kweight *self, const float *const *in, int frames);
/* Loudness in LUFS of a (channel weighted) mean square, -inf below 1e-20; BS.1770-5 equation 2. */
double ae_lufs_from_mean_square(double mean_square);
/* And back; the mean square may be 0 for -inf. */
double ae_mean_square_from_lufs(double loudness_lufs);
/* ffi:end */

#endif
