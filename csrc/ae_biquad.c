#include "ae_biquad.h"

#include <math.h>

static const double k_pi = 3.14159265358979323846;

ae_biquad ae_biquad_high_pass(double sample_rate_hz, double cutoff_hz, double q)
{
    const double omega = 2.0 * k_pi * cutoff_hz / sample_rate_hz;
    const double alpha = sin(omega) / (2.0 * q);
    const double scale = 1.0 / (1.0 + alpha);
    /* (1 + cos) / 2; b1 = -2 b0 in floating point too, so the zero at DC is exact. */
    const double b0 = 0.5 * (1.0 + cos(omega)) * scale;
    return (ae_biquad){b0, -2.0 * b0, b0, -2.0 * cos(omega) * scale, (1.0 - alpha) * scale};
}

double ae_biquad_magnitude(const ae_biquad *self, double frequency_hz, double sample_rate_hz)
{
    const double omega = 2.0 * k_pi * frequency_hz / sample_rate_hz;
    const double c1 = cos(omega), s1 = sin(omega);
    const double c2 = cos(2.0 * omega), s2 = sin(2.0 * omega);
    const double top =
        hypot(self->b0 + self->b1 * c1 + self->b2 * c2, self->b1 * s1 + self->b2 * s2);
    const double bottom = hypot(1.0 + self->a1 * c1 + self->a2 * c2, self->a1 * s1 + self->a2 * s2);
    return top / bottom;
}

void ae_biquad_process(const ae_biquad *self, ae_biquad_state *state, const float *in, float *out,
                       int frames)
{
    const ae_biquad c = *self;
    double s1 = state->s1, s2 = state->s2;
    for (int i = 0; i < frames; i++) {
        const double x = (double)in[i];
        const double y = c.b0 * x + s1;
        s1 = c.b1 * x - c.a1 * y + s2;
        s2 = c.b2 * x - c.a2 * y;
        out[i] = (float)y;
    }
    state->s1 = s1;
    state->s2 = s2;
}
