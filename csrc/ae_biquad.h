/* ae_biquad.h - second-order filter section: design, response and the filter itself.
 *
 * Method: bilinear transform with frequency prewarping, in the form of R. Bristow-Johnson's
 * "Cookbook formulae for audio EQ biquad filter coefficients"; transposed direct form II.
 * Coefficients and state are double: a 20 Hz pole pair at 96 kHz lies 1e-3 from the unit circle,
 * where float coefficients move the corner and float state makes noise.
 * A stable section keeps a finite state for finite input; nothing here allocates. Latency 0. */
#ifndef AE_BIQUAD_H
#define AE_BIQUAD_H

/* H(z) = (b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2) */
typedef struct {
    double b0, b1, b2, a1, a2;
} ae_biquad;

typedef struct {
    double s1, s2;
} ae_biquad_state;

/* High-pass with a double zero exactly at DC. 0 < cutoff_hz < sample_rate_hz / 2, q > 0. */
ae_biquad ae_biquad_high_pass(double sample_rate_hz, double cutoff_hz, double q);

/* |H| at a frequency. */
double ae_biquad_magnitude(const ae_biquad *self, double frequency_hz, double sample_rate_hz);

/* Filters `frames` frames of one channel. `out` may equal `in`. */
void ae_biquad_process(const ae_biquad *self, ae_biquad_state *state, const float *in, float *out,
                       int frames);

#endif
