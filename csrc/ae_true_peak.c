#include "ae_true_peak.h"

#include <math.h>

enum {
    k_pairs = AE_TRUE_PEAK_MARGIN,
    k_tile = 16,   /* frames whose sums stay in registers */
    k_chunk = 128, /* frames interpolated at a time, on the stack */
};

/* The widest flat band (0.023 dB to 0.45 rate) whose cut is still sharp enough for white noise: a
 * larger beta reads its peaks, which live above 0.45 rate, up to 0.6 dB low. */
static const double k_kaiser_beta = 5.0;

static double bessel_i0(double x)
{
    double sum = 1.0, term = 1.0;
    for (int k = 1; term > 1e-16 * sum; k++) {
        term *= x * x / (4.0 * k * k);
        sum += term;
    }
    return sum;
}

/* Kaiser-windowed sinc at a distance of `t` samples. */
static double sinc_tap(double t)
{
    const double pi = 3.14159265358979323846, edge = t / k_pairs;
    const double window = bessel_i0(k_kaiser_beta * sqrt(fmax(0.0, 1.0 - edge * edge)));
    return sin(pi * t) / (pi * t) * window / bessel_i0(k_kaiser_beta);
}

void ae_true_peak_init(ae_true_peak *self)
{
    double near[k_pairs], far[k_pairs], middle[k_pairs], quarter_sum = 0.0, middle_sum = 0.0;
    for (int k = 0; k < k_pairs; k++) {
        near[k] = sinc_tap(k + 0.25);
        far[k] = sinc_tap(k + 0.75);
        middle[k] = sinc_tap(k + 0.5);
        quarter_sum += near[k] + far[k];
        middle_sum += 2.0 * middle[k];
    }
    double quarter_size = 0.0, middle_size = 0.0; /* L1 norms, at unity gain for DC */
    for (int k = 0; k < k_pairs; k++) {
        self->even[k] = (float)(0.5 * (near[k] + far[k]) / quarter_sum);
        self->odd[k] = (float)(0.5 * (near[k] - far[k]) / quarter_sum);
        self->middle[k] = (float)(middle[k] / middle_sum);
        quarter_size += (fabs(near[k]) + fabs(far[k])) / quarter_sum;
        middle_size += 2.0 * fabs(middle[k]) / middle_sum;
    }
    /* The parabola adds at most |c - a| / 8, a quarter of the largest grid value. */
    self->bound = (float)(1.25 * fmax(quarter_size, middle_size));
}

/* The three phases after x[0 .. count), count <= k_tile; constant when inlined for whole tiles. */
static inline void interpolate(const ae_true_peak *self, const float *x, float *restrict u1,
                               float *restrict u2, float *restrict u3, const int count)
{
    float even[k_tile] = {0}, odd[k_tile] = {0}, middle[k_tile] = {0};
    for (int k = 0; k < k_pairs; k++) {
        const float e = self->even[k], o = self->odd[k], m = self->middle[k];
        const float *before = x - k, *after = x + 1 + k;
#pragma omp simd
        for (int n = 0; n < count; n++) {
            const float sum = before[n] + after[n], difference = before[n] - after[n];
            even[n] += e * sum;
            odd[n] += o * difference;
            middle[n] += m * sum;
        }
    }
    for (int n = 0; n < count; n++) {
        u1[n] = even[n] + odd[n];
        u2[n] = middle[n];
        u3[n] = even[n] - odd[n];
    }
}

/* |b|, or the vertex of the parabola through a, b, c when b is the extremum away from zero. */
static inline float refined(float a, float b, float c)
{
    const float slope = c - a, curve = a - 2.0f * b + c;
    const float size = fabsf(curve);
    const float rise = slope * slope / (8.0f * size + 1e-30f);
    return fabsf(b) + (fabsf(slope) <= size && b * curve < 0.0f ? rise : 0.0f);
}

static inline float larger(float a, float b) { return a > b ? a : b; }

void ae_true_peak_envelope(const ae_true_peak *self, const float *x, int frames, float *peak)
{
    float u1[k_chunk], u2[k_chunk], u3[k_chunk]; /* [0] belongs to the frame before the chunk */
    for (int at = 0; at < frames; at += k_chunk - 1) {
        const int count = frames - at < k_chunk - 1 ? frames - at : k_chunk - 1;
        const float *from = x + at - 1;
        int n = 0;
        for (; n + k_tile <= count + 1; n += k_tile) {
            interpolate(self, from + n, u1 + n, u2 + n, u3 + n, k_tile);
        }
        for (; n < count + 1; n++) interpolate(self, from + n, u1 + n, u2 + n, u3 + n, 1);
        const float *here = x + at;
        float *out = peak + at;
#pragma omp simd
        for (int i = 0; i < count; i++) {
            const float a = u3[i], b = here[i], c = u1[i + 1], d = u2[i + 1], e = u3[i + 1];
            const float first = larger(refined(a, b, c), refined(b, c, d));
            const float second = larger(refined(c, d, e), refined(d, e, here[i + 1]));
            out[i] = larger(first, second);
        }
    }
}
