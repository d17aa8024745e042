#include "ae_lip_bandpass.h"

#include <assert.h>
#include <math.h>

static const double k_pi = 3.14159265358979323846;

typedef struct {
    double re, im;
} point;

static point square_root(point z)
{
    const double size = hypot(z.re, z.im);
    return (point){sqrt(0.5 * (size + z.re)), copysign(sqrt(0.5 * (size - z.re)), z.im)};
}

/* Section `i` from its pole in the s plane, in units of twice the rate. */
static void place(ae_lip_bandpass *self, int i, point s)
{
    const double below = (1.0 - s.re) * (1.0 - s.re) + s.im * s.im;
    const point z = {(1.0 - s.re * s.re - s.im * s.im) / below, 2.0 * s.im / below};
    self->a1[i] = -2.0 * z.re;
    self->a2[i] = z.re * z.re + z.im * z.im;
}

/* |1 - z^-2| / |1 + a1 z^-1 + a2 z^-2| at an angle. */
static double magnitude(double a1, double a2, double angle)
{
    const double re = 1.0 + a1 * cos(angle) + a2 * cos(2.0 * angle);
    const double im = -a1 * sin(angle) - a2 * sin(2.0 * angle);
    return 2.0 * fabs(sin(angle)) / hypot(re, im);
}

ae_lip_bandpass ae_lip_bandpass_design(double low_hz, double high_hz, double rate_hz)
{
    const double low = tan(k_pi * low_hz / rate_hz), high = tan(k_pi * high_hz / rate_hz);
    const double half_band = 0.5 * (high - low), middle_square = low * high;
    /* The prototype's pole exp(3 pi i / 4), times half the band; its two images in the band. */
    const point p = {-half_band * sqrt(0.5), half_band * sqrt(0.5)};
    const point root =
        square_root((point){p.re * p.re - p.im * p.im - middle_square, 2.0 * p.re * p.im});
    ae_lip_bandpass self = {.gain = 1.0};
    place(&self, 0, (point){p.re + root.re, p.im + root.im});
    place(&self, 1, (point){p.re - root.re, p.im - root.im});
    const double middle = 2.0 * atan(sqrt(middle_square));
    for (int i = 0; i < 2; i++) self.gain /= magnitude(self.a1[i], self.a2[i], middle);
    return self;
}

#define LIP_INLINE static inline __attribute__((always_inline))

/* One direction, in place: `count` rows from `rows` on, `step` values from each to the next. */
LIP_INLINE void run(const ae_lip_bandpass *self, float *rows, int count, int step, int width)
{
    const double a10 = self->a1[0], a20 = self->a2[0], a11 = self->a1[1], a21 = self->a2[1];
    const double gain = self->gain;
    double s0[32], t0[32], s1[32], t1[32]; /* transposed direct form II */
    for (int j = 0; j < width; j++) {
        s0[j] = t0[j] = -(double)rows[j]; /* steady: what comes in goes no further */
        s1[j] = t1[j] = 0.0;
    }
    for (int n = 0; n < count; n++, rows += step) {
#pragma omp simd
        for (int j = 0; j < width; j++) {
            const double x = (double)rows[j];
            const double y = x + s0[j];
            s0[j] = t0[j] - a10 * y;
            t0[j] = -x - a20 * y;
            const double z = y + s1[j];
            s1[j] = t1[j] - a11 * z;
            t1[j] = -y - a21 * z;
            rows[j] = (float)(gain * z);
        }
    }
}

LIP_INLINE void run_both(const ae_lip_bandpass *self, float *rows, int frames, int stride,
                         int width)
{
    float *last = rows + (frames - 1) * stride;
    for (int e = 1; e <= AE_LIP_BANDPASS_EDGE; e++) {
        for (int j = 0; j < width; j++) {
            rows[j - e * stride] = rows[j + e * stride];
            last[j + e * stride] = last[j - e * stride];
        }
    }
    const int count = frames + 2 * AE_LIP_BANDPASS_EDGE;
    run(self, rows - AE_LIP_BANDPASS_EDGE * stride, count, stride, width);
    run(self, last + AE_LIP_BANDPASS_EDGE * stride, count, -stride, width);
}

void ae_lip_bandpass_run(const ae_lip_bandpass *self, float *rows, int frames, int stride,
                         int width)
{
    assert(frames > AE_LIP_BANDPASS_EDGE && width >= 1 && width <= 32 && width <= stride);
    if (width == 24)
        run_both(self, rows, frames, stride, 24);
    else if (width == 8)
        run_both(self, rows, frames, stride, 8);
    else
        run_both(self, rows, frames, stride, width);
}
