/* ae_vector_math.h - base-2 logarithm and power that the compiler can vectorise, and a moving mean.
 *
 * libm's logf and expf are calls, so a loop over bins with one of them stays scalar; these are a
 * few multiplications on the bits of the float. Error: log2 below 4e-7 (absolute or relative,
 * whichever is larger), exp2 below 4e-7 relative; tests/c/test_ae_vector_math.c holds them to it.
 * Thread: any; no state. */
#ifndef AE_VECTOR_MATH_H
#define AE_VECTOR_MATH_H

#include "ae_math.h"

static const float k_ae_log2_of_e = 1.44269504088896f;
static const float k_ae_log2_per_db = 0.332192809488736f; /* log2(10) / 10, of a power ratio */

static inline int32_t ae_bits_of(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float ae_float_of(int32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* x must be a positive normal number. The mantissa is brought to sqrt(1/2) .. sqrt(2), where
 * log2 m = 2 / ln 2 * atanh((m - 1) / (m + 1)) needs four terms. */
static inline float ae_log2(float x)
{
    const int32_t bits = ae_bits_of(x);
    const int32_t exponent = (bits - 0x3f3504f3) >> 23; /* 0x3f3504f3: sqrt(1/2) */
    const float m = ae_float_of(bits - exponent * (1 << 23));
    const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    const float series = 1.0f + s2 * (1.0f / 3.0f + s2 * (1.0f / 5.0f + s2 * (1.0f / 7.0f)));
    return (float)exponent + 2.0f * k_ae_log2_of_e * s * series;
}

/* 2^x, x clamped to -126 .. 126. Taylor series of 2^f for |f| <= 1/2: coefficients ln(2)^n / n!. */
static inline float ae_exp2(float x)
{
    const float held = x < -126.0f ? -126.0f : x > 126.0f ? 126.0f : x;
    const float shifted = held + 12582912.0f; /* 1.5 * 2^23: rounds to the nearest integer */
    const float f = held - (shifted - 12582912.0f);
    const float series =
        1.0f + f * (0.693147181f +
                    f * (0.240226507f +
                         f * (0.0555041087f +
                              f * (0.00961812911f + f * (0.00133335581f + f * 0.000154035304f)))));
    return series * ae_float_of((ae_bits_of(shifted) - 0x4b400000 + 127) * (1 << 23));
}

/* mean[k] of values[k - reach .. k + reach], fewer at the ends. Every sum starts anew: a running
 * sum would leave the rounding errors of loud low frequencies in faint high ones. No overlap. */
static inline void ae_moving_mean(const float *restrict values, float *restrict mean, int count,
                                  int reach)
{
    const int inner_end = count - reach;
    const float share = 1.0f / (float)(2 * reach + 1);
    for (int k = 0; k < count; k++) {
        if (k >= reach && k < inner_end) continue; /* follows below */
        const int low = k > reach ? k - reach : 0;
        const int high = k + reach < count ? k + reach : count - 1;
        float sum = 0.0f;
        for (int i = low; i <= high; i++) sum += values[i];
        mean[k] = sum / (float)(high - low + 1);
    }
#pragma omp simd
    for (int k = reach; k < inner_end; k++) mean[k] = values[k];
    for (int offset = 1; offset <= reach; offset++) {
#pragma omp simd
        for (int k = reach; k < inner_end; k++) mean[k] += values[k - offset] + values[k + offset];
    }
#pragma omp simd
    for (int k = reach; k < inner_end; k++) mean[k] *= share;
}

#endif
